"""The five questions in the contract's words: what the operations find, as the routes and native methods answer it."""

from __future__ import annotations

import platform
from typing import Any

from api.schemas import (
    ClassScore,
    FaceMeta,
    FacePrediction,
    FaceResponse,
    SceneResponse,
    VoiceRequest,
    VoiceResponse,
)
from media.pcm import PcmFormat
from models.spec import ModelSpec
from tasks import audio_scene, face_gender, heart_sound, voice_deepfake, voice_gender
from tasks.answer import Prediction
from tasks.context import Context
from tasks.results import HeartResult, SceneData


class Answers:
    """Asks the operations of one bundle.

    Args:
        context: The bundle.
    """

    def __init__(self, context: Context) -> None:
        self.context = context

    async def voice_gender(self, audio: bytes) -> list[ClassScore]:
        """Both classes, highest score first (docs/contract.md, Voice gender)."""
        found = await voice_gender.classify(self.context, audio)
        pairs = sorted(found.answer.probabilities.items(), key=lambda pair: -pair[1])
        return [ClassScore.model_validate({"score": min(score, 1.0), "label": label}) for label, score in pairs]

    async def face_gender(self, image: bytes) -> FaceResponse:
        """Both classes, and what answered (docs/contract.md, Face gender)."""
        found = await face_gender.classify(self.context, image)
        return described(found.answer, self.context.models[face_gender.MODEL].spec)

    async def heart_sound(self, audio: bytes) -> HeartResult:
        """Class and confidence of a recording in any container (docs/contract.md, Heart sound)."""
        found = await heart_sound.classify(self.context, audio)
        return heart_sound.as_result(found.answer)

    async def heart_upload(self, data: bytes, declared: str, layout: PcmFormat, amplification: float) -> HeartResult:
        """Class and confidence of raw PCM, or of a recording in any container (docs/contract.md, Heart sound)."""
        found = await heart_sound.classify_upload(self.context, data, declared, layout, amplification)
        return heart_sound.as_result(found.answer)

    async def audio_scene(self, url: str) -> SceneResponse:
        """What the audio at an address is (docs/contract.md, Audio scene)."""
        analysis = await audio_scene.analyze_url(self.context, url)
        return SceneResponse(data=SceneData.model_validate(analysis.model_dump(exclude={"model"})))

    async def voice_detection(self, body: VoiceRequest) -> VoiceResponse:
        """The ensemble's decision and its reasons (docs/contract.md, AI-generated voice)."""
        limit = self.context.settings.max_body_bytes
        answer = await voice_deepfake.classify_base64(self.context, body.audioBase64, body.audioFormat, limit)
        return VoiceResponse.model_validate(
            {
                "language": body.language,
                "classification": answer.verdict.classification,
                "confidenceScore": answer.verdict.confidence,
                "explanation": answer.explanation,
            }
        )


def described(answer: Prediction, spec: ModelSpec) -> FaceResponse:
    """The answer in the contract's form; classes are numbered in the model's order, female 0 and male 1."""
    classes: list[dict[str, Any]] = [
        {"class": name, "label": label, "probability": min(probability, 1.0)}
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
