"""Asks the questions, as the routes do, and reports what was found along the way, line by line where it takes long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.answers import Answers
from api.responses import error_body
from api.ui import views
from api.ui.cards import card_address
from api.ui.views import Answerer, Report
from api.v1 import report
from api.v1.batch import MEDIA_TYPE
from core.request import CURRENT
from models.spec import is_of
from tasks.base import Answer
from tasks.questions import questions
from tasks.run import Context


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
        """The remaining lines: progress, then the report or the error."""
        while not self.task.done():
            yield _line(progress=round(self.share, 3))
            await self._next()
        try:
            yield _line(report=(await self.task).model_dump())
        except Exception as error:
            yield _line(error=error_body(error))

    async def _next(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def _on_progress(self, model: str, done: int, total: int) -> None:
        self._windows[model] = (done, total)
        self._changed.set()


class _JobResponse(StreamingResponse):
    """The lines; when the caller goes, the work is cancelled."""

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


T = TypeVar("T")


class Questions:
    """The questions of the playground; they raise what ``Context.answer`` raises.

    Args:
        context: The bundle.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ask(self, name: str, data: bytes) -> Report:
        """Answers for a file; that of a heart sound is kept as the latest.

        Args:
            name: Of ``tasks.questions``.
            data: The file's bytes.
        """
        answer = await self._context.answer(questions()[name], data)
        if name == "heart-sound":
            await Answers(self._context).keep(answer.found)
        return await self._report(name, answer)

    async def ask_url(self, name: str, url: str) -> Report:
        """The same for the file at an address."""
        return await self._report(name, await self._context.answer_url(questions()[name], url))

    async def _report(self, name: str, answer: Answer) -> Report:
        found, question = answer.found, questions()[name]
        drawn = self._context.decoder.in_thread
        parts: dict[str, Any] = {}
        if (audio := answer.audio) is not None:
            parts["sound"] = await drawn(lambda: views.sound(audio))
        if (face := answer.face) is not None:
            parts["face"] = await drawn(lambda: views.face(face))
        if found.verdict is not None:
            voting = self._context.settings.voting
            parts |= {"votes": views.votes(found.members, voting.weights), "threshold": voting.threshold}
            parts |= {"features": views.feature_values(found.members["deepfake_mlp"].extras)}
        elif audio is not None:
            prediction = next(iter(found.members.values()))
            spec = self._context.models[prediction.model].spec
            windows = await drawn(lambda: report.windows(question, audio, prediction, spec))
            parts["windows"] = [views.window(*one) for one in windows]
        return Report(
            verdict=found.prediction,
            shares=views.shares(found.probabilities),
            models=[self._answerer(member.tag) for member in found.members.values()],
            problems=await drawn(lambda: question.problems_of(answer)),
            uncertain=found.uncertain,
            explanation=found.explanation,
            **parts,
        )

    def _answerer(self, tag: str) -> Answerer:
        spec = next(model.spec for model in self._context.models.values() if is_of(model.spec, tag))
        return Answerer(title=spec.title, tag=tag, card=card_address(spec, tag))
