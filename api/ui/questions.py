"""Asks the questions, as the routes do, and reports what was found along the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from api.answers import Answers
from api.ui import views
from api.ui.cards import card_address
from api.ui.reports import Answerer, Report
from models.spec import is_of
from tasks.base import Answer
from tasks.questions import questions
from tasks.run import Context

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
        return await self._report(answer)

    async def ask_url(self, name: str, url: str) -> Report:
        """The same for the file at an address."""
        return await self._report(await self._context.answer_url(questions()[name], url))

    async def _report(self, answer: Answer) -> Report:
        found = answer.found
        parts: dict[str, Any] = {}
        if (audio := answer.audio) is not None:
            parts["sound"] = await self._drawn(lambda: views.sound(audio))
        if (face := answer.face) is not None:
            parts["face"] = await self._drawn(lambda: views.found_face(face))
        if found.verdict is not None:
            voting = self._context.settings.voting
            parts |= {"votes": views.votes(found.members, voting.weights), "threshold": voting.threshold}
            parts |= {"features": views.measured(found.members["deepfake_mlp"].extras)}
        elif audio is not None:
            parts["windows"] = views.windows(next(iter(found.members.values())), audio.duration_s)
        return Report(
            verdict=found.prediction,
            shares=views.shares(found.probabilities),
            models=[self._answerer(member.tag) for member in found.members.values()],
            problems=list(found.problems),
            uncertain=found.uncertain,
            explanation=found.explanation,
            **parts,
        )

    async def _drawn(self, draw: Callable[[], T]) -> T:
        """Runs in a thread what would hold up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._context.threads, draw)

    def _answerer(self, tag: str) -> Answerer:
        spec = next(model.spec for model in self._context.models.values() if is_of(model.spec, tag))
        return Answerer(title=spec.title, tag=tag, card=card_address(spec, tag))
