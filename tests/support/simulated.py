"""Simulated time for tests of what waits: an event loop whose clock jumps to the next moment at which something is due.

A second costs nothing, how busy the machine is changes nothing, and a wait that nothing can end fails after
``THREAD_S``.
"""

from __future__ import annotations

import asyncio
import selectors
from types import SimpleNamespace
from typing import Any

import pytest

from scheduling import policy, throughput
from tests.support.clock import Clock

THREAD_S = 20.0  # for which nothing else is to be done: a thread may be working


class _Selector(selectors.DefaultSelector):
    """Lets the clock pass instead of waiting."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(THREAD_S if timeout is None else 0)
        if not events and timeout is None:
            raise AssertionError("every task waits for another")
        if not events and timeout is not None:
            self._clock.now += timeout
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    """For coroutines that wait for one another and for time: threads and networks do not follow its clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        """The moment (seconds), which stands still while anything can go on."""
        return self._clock()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the test's event loop and of the batching policy."""
    made = Clock()
    for module in (policy, throughput):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=made))
    return made


@pytest.fixture
def anyio_backend(clock: Clock) -> tuple[str, dict[str, Any]]:
    """Lets tests marked ``anyio`` run in simulated time, in the modules that import this."""
    return "asyncio", {"loop_factory": lambda: SimulatedLoop(clock)}
