"""A process with a result cache of its own, which does step by step what a test tells it over a pipe."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from core.errors import UpstreamError
from tests.support.caching import VERSION, Cache, Found, make


class Asked(NamedTuple):
    """What has become of one question.

    Attributes:
        state: ``waiting``, ``answered``, ``failed`` or ``left``.
        by: Number of the process that computed the answer.
        run: Which computation of that process it was.
        hit: Whether the answer was there already.
    """

    state: str
    by: int = 0
    run: int = 0
    hit: bool = False


class Process:
    """Callers of one cache, and computations that end when the test says so."""

    def __init__(self, number: int, path: str) -> None:
        self.number = number
        self.cache: Cache = make("sqlite", path, lease_s=60.0)[0]
        self.asked: dict[int, asyncio.Task[Any]] = {}
        self.running: dict[str, asyncio.Future[bool]] = {}
        self.runs = 0
        self.run_of: dict[str, int] = {}

    async def compute(self, key: str) -> Found:
        """Takes until ``finish``."""
        assert key not in self.running, "computed twice at the same time"
        self.runs += 1
        self.run_of[key] = run = self.runs
        self.running[key] = asyncio.get_running_loop().create_future()
        try:
            if not await self.running[key]:
                raise UpstreamError(f"failed in {self.number}")
        finally:
            del self.running[key]
        return Found(run=run, by=self.number)

    def ask(self, name: int, key: str) -> None:
        """A caller comes."""
        asking = self.cache.get_or_compute(key, lambda: self.compute(key), version=VERSION)
        self.asked[name] = asyncio.create_task(asking)

    def leave(self, name: int) -> None:
        """The caller goes."""
        self.asked[name].cancel()

    def finish(self, key: str, succeeds: bool) -> None:
        """The computation of a key ends."""
        if (future := self.running.get(key)) and not future.done():
            future.set_result(succeeds)

    def count(self) -> dict[str, int]:
        """The latest computation of each key."""
        return self.run_of

    def look(self) -> tuple[dict[int, Asked], set[str]]:
        """All questions, and the keys that are being computed."""
        return {name: become(task) for name, task in self.asked.items()}, set(self.running)


def become(task: asyncio.Task[Any]) -> Asked:
    """What has become of the question that a task asks."""
    if not task.done():
        return Asked("waiting")
    if task.cancelled():
        return Asked("left")
    if (error := task.exception()) is not None:
        return Asked("failed" if isinstance(error, UpstreamError) else repr(error))
    cached = task.result()
    return Asked("answered", cached.value.by, cached.value.run, cached.hit)


def work(pipe: Connection, number: int) -> None:
    """Runs commands from the pipe until it closes; ``open`` begins with another store."""

    async def follow() -> None:
        process: Process | None = None
        while True:
            try:
                name, *arguments = await asyncio.to_thread(pipe.recv)
            except EOFError:
                return
            if name == "open":
                if process is not None:
                    await process.cache.aclose()
                process = Process(number, *arguments)
                pipe.send(None)
            else:
                pipe.send(getattr(process, name)(*arguments))

    asyncio.run(follow())
