"""One computation for all who ask for the same thing at the same moment, within one event loop.

A failure holds its traceback, which holds the variables of every frame that it came through. A frame that keeps the
task which failed makes a ring of these, and what was read on the way (a download) stays until a full garbage
collection. So every function that awaits a task drops its reference to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from core import memory

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiters: int = 0


class SingleFlight(Generic[T]):
    """Tasks under way, by key.

    A computation goes on while any caller waits for it. When the last one has gone, it is cancelled.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()  # also those that were cancelled and have not ended yet

    async def join(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        """Gives the result of the computation under way for a key, which is started if there is none.

        Raises:
            Exception: What the computation raised, to all who wait for it.
        """
        flight = self._flights.get(key) or self._start(key, compute)
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done():
                self._forget(key, flight)  # the next caller starts a new computation
                flight.task.cancel()
            del flight  # or a failure would hold itself

    async def aclose(self) -> None:
        """Cancels what is under way, and waits until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, key: str, compute: Callable[[], Awaitable[T]]) -> _Flight[T]:
        async def run() -> T:
            with memory.lease_apart():
                return await compute()

        flight = _Flight(asyncio.create_task(run()))
        self._flights[key] = flight
        self._tasks.add(flight.task)
        flight.task.add_done_callback(lambda task: self._land(key, flight, task))
        return flight

    def _land(self, key: str, flight: _Flight[T], task: asyncio.Task[T]) -> None:
        self._forget(key, flight)
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nothing is printed when the last waiter left at this very moment

    def _forget(self, key: str, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
