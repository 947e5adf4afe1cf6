"""Bodies of requests and answers, as the OpenAPI document shows them (docs/contract.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from media.containers import offered
from models.messages import SceneData

Gender = Literal["female", "male"]
Language = Literal["Tamil", "English", "Hindi", "Malayalam", "Telugu"]
if TYPE_CHECKING:
    AudioFormat = str
else:
    AudioFormat = Literal[tuple(one.name for one in offered("mp3", "wav", "webm", "ogg"))]


class Strict(BaseModel):
    """An answer: field names as in the contract, nothing beside them."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)


class ErrorBody(BaseModel):
    """The body of every error."""

    status: Literal["error"] = "error"
    message: str = Field(description="What is wrong, in words that the caller can act on.")
    request_id: str = Field(description="The id in the `x-request-id` header.")


class FaceErrorBody(ErrorBody):
    """The body of an error of the face routes."""

    success: Literal[False] = False
    error: str = Field(description="The same as `message`.")


class ClassScore(Strict):
    """One class of the voice gender model."""

    score: float = Field(ge=0, le=1)
    label: Gender


class FaceClass(Strict):
    """One class of the face gender model."""

    class_: Gender = Field(alias="class")
    label: Literal[0, 1]
    probability: float = Field(ge=0, le=1)


class FaceMeta(Strict):
    """What answered."""

    description: str
    language: str
    library: str
    main: str
    programmer: str


class FacePrediction(FaceClass):
    """The winning class, and all of them."""

    meta: FaceMeta
    predictions: list[FaceClass]


class FaceResponse(Strict):
    """Answer of `/api/gender`."""

    predictions: FacePrediction
    success: Literal[True] = True


class AnalyzeRequest(BaseModel):
    """Body of `/analyze-audio`."""

    audio_url: str = Field(
        min_length=1,
        max_length=4096,
        description="Address of an audio file, `http` or `https`.",
        examples=["https://example.org/clip.mp3"],
    )


class SceneResponse(Strict):
    """Answer of `/analyze-audio`."""

    status: Literal["success"] = "success"
    data: SceneData


class VoiceRequest(BaseModel):
    """Body of `/api/voice-detection`."""

    language: Language
    audioFormat: AudioFormat  # noqa: N815 - the contract's name
    audioBase64: str = Field(  # noqa: N815
        min_length=1, description="The file in base64; a `data:` URI is accepted."
    )


class VoiceResponse(Strict):
    """Answer of `/api/voice-detection`."""

    status: Literal["success"] = "success"
    language: Language
    classification: Literal["AI_GENERATED", "HUMAN"]
    confidenceScore: float = Field(ge=0, le=1)  # noqa: N815
    explanation: str


class Readiness(Strict):
    """Answer of `/readyz`."""

    status: Literal["ready"] = "ready"
    models: dict[str, Literal["ready"]]
