"""An answer that may take long: its progress, line by line, and then itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.responses import to_response
from api.ui.reports import Report
from core.request import CURRENT

MEDIA_TYPE = "application/x-ndjson"


async def respond(work: Coroutine[Any, Any, Report]) -> Response:
    """Answers with a report; while models are busy with a long recording, lines of progress go before it.

    A failure before the first line of progress is raised, and so has its own status; a later one is the last line.

    Args:
        work: Asks a question within the running request.

    Returns:
        JSON, or JSON lines: any number of ``{"progress": share}``, then ``{"report": ...}`` or ``{"error": ...}``.

    Raises:
        ServiceError: As ``work``.
    """
    job = _Job(work)
    try:
        if not await job.is_long():
            return JSONResponse({"report": (await job.task).model_dump()})
    except BaseException:
        job.task.cancel()
        raise
    return _JobResponse(job)


class _Job:
    """Work under way, and how far the models are with it."""

    def __init__(self, work: Coroutine[Any, Any, Report]) -> None:
        self._windows: dict[str, tuple[int, int]] = {}
        self._changed = asyncio.Event()
        if (state := CURRENT.get()) is not None:
            state.on_progress = self._on_progress
        self.task = asyncio.ensure_future(work)
        self.task.add_done_callback(lambda _: self._changed.set())

    @property
    def share(self) -> float:
        """How much of the windows of all models has been answered, 0 to 1."""
        return sum(done for done, _ in self._windows.values()) / sum(total for _, total in self._windows.values())

    async def is_long(self) -> bool:
        """Waits until a part has been answered, or everything."""
        while not self.task.done():
            await self._next()
            if self._windows and 0 < self.share < 1:
                return True
        return False

    async def lines(self) -> AsyncIterator[str]:
        """What is left to say."""
        while not self.task.done():
            yield _line(progress=round(self.share, 3))
            await self._next()
        try:
            yield _line(report=(await self.task).model_dump())
        except Exception as error:
            yield _line(error=json.loads(bytes(to_response(error).body)))

    async def _next(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def _on_progress(self, model: str, done: int, total: int) -> None:
        self._windows[model] = (done, total)
        self._changed.set()


class _JobResponse(StreamingResponse):
    """The lines; a caller who goes takes the work along."""

    def __init__(self, job: _Job) -> None:
        super().__init__(job.lines(), media_type=MEDIA_TYPE)
        self._task = job.task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._task.cancel()


def _line(**value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
