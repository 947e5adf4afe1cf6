"""Asks the operations, as the routes do, and reports what they found along the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from api.ui import views
from api.ui.cards import card_address
from api.ui.reports import Answerer, Report
from models.spec import is_of
from tasks import audio_scene, face_gender, heart_sound, voice_deepfake, voice_gender
from tasks.answer import AudioPrediction, Prediction
from tasks.context import Context

T = TypeVar("T")


class Questions:
    """The five questions; what they raise is what the operations raise.

    Args:
        context: The bundle.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    async def voice_gender(self, audio: bytes) -> Report:
        """Is this voice male or female?"""
        return await self._heard(await voice_gender.classify(self._context, audio))

    async def face_gender(self, image: bytes) -> Report:
        """Is this face male or female?"""
        found = await face_gender.classify(self._context, image)
        face = await self._drawn(lambda: views.found_face(found))
        return self._report(found.answer.best, found.answer.probabilities, [found.answer], face=face)

    async def heart_sound(self, audio: bytes) -> Report:
        """What does this heart sound show? The answer is kept as the latest."""
        found = await heart_sound.classify(self._context, audio)
        return await self._heard(found, problems=heart_sound.problems(found.answer))

    async def audio_scene(self, audio: bytes) -> Report:
        """Is this audio speech, music, noise or silence?"""
        return await self._heard(await audio_scene.classify(self._context, audio))

    async def audio_scene_url(self, url: str) -> Report:
        """The same, for the audio at an address."""
        return await self._heard(await audio_scene.classify_url(self._context, url))

    async def ai_voice(self, audio: bytes) -> Report:
        """Did a human or an AI speak this?"""
        found = await voice_deepfake.classify(self._context, audio)
        return self._report(
            found.verdict.classification,
            {"AI_GENERATED": found.verdict.score, "HUMAN": 1 - found.verdict.score},
            list(found.members.values()),
            sound=await self._drawn(lambda: views.sound(found.audio)),
            votes=views.votes(found.members, self._context.settings.voting.weights),
            threshold=self._context.settings.voting.threshold,
            uncertain=found.verdict.uncertain,
            features=views.measured(found.features),
            explanation=found.explanation,
        )

    async def _heard(self, found: AudioPrediction, **parts: Any) -> Report:
        sound = await self._drawn(lambda: views.sound(found.audio))
        windows = views.windows(found.answer, found.audio.duration_s)
        answer = found.answer
        return self._report(answer.best, answer.probabilities, [answer], sound=sound, windows=windows, **parts)

    async def _drawn(self, draw: Callable[[], T]) -> T:
        """Runs in a thread what would hold up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._context.threads, draw)

    def _report(
        self, verdict: str, probabilities: Mapping[str, float], answers: Sequence[Prediction], **parts: Any
    ) -> Report:
        models = [self._answerer(answer.tag) for answer in answers]
        return Report(verdict=verdict, shares=views.shares(probabilities), models=models, **parts)

    def _answerer(self, tag: str) -> Answerer:
        spec = next(model.spec for model in self._context.models.values() if is_of(model.spec, tag))
        return Answerer(title=spec.title, tag=tag, card=card_address(spec, tag))
