"""Answers in the form of the contract: what the tasks conclude, as routes and typed methods return it.

``answers`` and ``admitted`` give a route the ``Answers`` of its process.
"""

from __future__ import annotations

import platform
from typing import Any

from starlette.requests import HTTPConnection

from api.schemas import (
    ClassScore,
    FaceMeta,
    FacePrediction,
    FaceResponse,
    SceneResponse,
    VoiceRequest,
    VoiceResponse,
)
from api.v1.report import report
from api.v1.schemas import ItemAnswer
from core import metrics
from core.errors import Unavailable
from core.request import note_model
from media.pcm import PcmFormat
from models.messages import HeartResult, SceneData, SceneEntry
from models.spec import ModelSpec
from tasks import audio_scene, face_gender, heart_sound
from tasks.base import Conclusion, Prediction
from tasks.questions import questions
from tasks.run import Context


class Answers:
    """Asks the questions of one bundle.

    Args:
        context: The bundle.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self._questions = questions()

    async def voice_gender(self, audio: bytes) -> list[ClassScore]:
        """Both classes, highest score first."""
        found = (await self.context.answer(self._questions["voice-gender"], audio)).found
        pairs = sorted(found.probabilities.items(), key=lambda pair: -pair[1])
        return [ClassScore.model_validate({"score": score, "label": label}) for label, score in pairs]

    async def face_gender(self, image: bytes) -> FaceResponse:
        """Both classes, and what answered."""
        found = (await self.context.answer(self._questions["face-gender"], image)).found
        name = face_gender.MODEL
        return described(found.members[name], self.context.models[name].spec)

    async def heart_sound(self, audio: bytes) -> HeartResult:
        """Class and confidence of a recording in any container, kept as the latest before it is returned."""
        return await self.keep((await self.context.answer(self._questions["heart-sound"], audio)).found)

    async def heart_upload(self, data: bytes, declared: str, layout: PcmFormat, amplification: float) -> HeartResult:
        """The same for raw PCM, or a recording in any container.

        Args:
            data: The body.
            declared: The container that the content type names, or ``unknown``.
            layout: How to read raw PCM.
            amplification: Its gain, limited by the headroom of the loudest sample.

        Raises:
            ServiceError: As ``heart_sound.check_pcm`` and ``Context.answer``; InsufficientStorage when the answer
                cannot be kept.
        """
        question = self._questions["heart-sound"]
        self.context.ensure_room(*question.models)
        if heart_sound.is_file(data, declared):
            answer = await self.context.answer(question, data, declared=declared)
        else:
            heart_sound.check_pcm(data, layout, self.context.decoder.limits)
            answer = await self.context.answer(question, data, read=heart_sound.pcm_reader(layout, amplification))
        return await self.keep(answer.found)

    async def keep(self, found: Conclusion) -> HeartResult:
        """Stores a heart sound's answer as the latest.

        Raises:
            InsufficientStorage: It cannot be kept.
        """
        result = heart_sound.as_result(found)
        await self.context.latest.store(result)
        return result

    async def audio_scene(self, url: str) -> SceneResponse:
        """What the audio at an address is; remembered under it, downloaded once however many ask at the same time."""
        served = await self.context.models[audio_scene.MODEL].client.served()
        cached = await self.context.cache.get_or_compute(url, lambda: self._describe(url), version=served.tag)
        metrics.CACHE.labels("hit" if cached.hit else "miss").inc()
        note_model(cached.value.model)
        return SceneResponse(data=SceneData.model_validate(cached.value.model_dump(exclude={"model"})))

    async def voice_detection(self, body: VoiceRequest) -> VoiceResponse:
        """The ensemble's decision and its reasons."""
        question = self._questions["ai-voice"]
        found = (await self.context.answer_base64(question, body.audioBase64, body.audioFormat)).found
        return VoiceResponse.model_validate(
            {
                "language": body.language,
                "classification": found.prediction,
                "confidenceScore": found.confidence,
                "explanation": found.explanation,
            }
        )

    async def item(self, question: str, data: bytes) -> ItemAnswer:
        """A question about one file, answered as the uniform route does."""
        asked = self._questions[question]
        answer = await self.context.answer(asked, data)
        spec = self.context.models[asked.models[0]].spec
        return await self.context.decoder.in_thread(lambda: report(asked, answer, spec, self.context.settings, 0, ""))

    async def _describe(self, url: str) -> SceneEntry:
        answer = await self.context.answer_url(self._questions["audio-scene"], url)
        assert answer.audio is not None  # noqa: S101 - the question is about a recording
        return SceneEntry.model_validate(
            {
                "duration": round(answer.audio.duration_s, 2),
                "sample_rate": answer.audio.sample_rate,
                "channels": answer.audio.channels,
                "classification": answer.found.prediction,
                "model": answer.found.members[audio_scene.MODEL].tag,
            }
        )


def answers(connection: HTTPConnection) -> Answers:
    """The ``Answers`` of this process.

    Args:
        connection: A request or a WebSocket.

    Raises:
        Unavailable: The process is still starting.
    """
    found = getattr(connection.app.state, "answers", None)
    if not isinstance(found, Answers):
        raise Unavailable("the service is starting", retry_after=1)
    return found


def admitted(request: HTTPConnection, *models: str) -> Answers:
    """The ``Answers`` of this process, if the models of the request have room for it.

    Asked before a body is read, which costs memory and time as well; the operations ask again when it is there.

    Raises:
        TooManyRequests: A model has more waiting than it can answer in time.
        Unavailable: The process is still starting, or a runner is down.
    """
    found = answers(request)
    found.context.ensure_room(*models)
    return found


def described(answer: Prediction, spec: ModelSpec) -> FaceResponse:
    """The answer in the form of the contract; classes are numbered in the model's order, female 0 and male 1."""
    classes: list[dict[str, Any]] = [
        {"class": name, "label": label, "probability": probability}
        for label, (name, probability) in enumerate(answer.probabilities.items())
    ]
    best = max(classes, key=lambda item: item["probability"])
    meta = FaceMeta(
        description=f"{spec.description} ({spec.architecture})",
        language=f"python {platform.python_version()}",
        library=spec.library,
        main="computer vision (cv)",
        programmer=f"model {answer.tag}",
    )
    return FaceResponse(predictions=FacePrediction.model_validate({**best, "meta": meta, "predictions": classes}))
