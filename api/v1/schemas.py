"""Bodies of the uniform routes, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas import ErrorBody, Strict
from core.settings import MOST_BATCH_ITEMS

Probability = Annotated[float, Field(ge=0, le=1)]


class InputItem(BaseModel):
    """One file: its address, or its content in base64."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(None, min_length=1, max_length=4096, description="Its address, `http` or `https`.")
    base64: str | None = Field(None, min_length=1, description="Its content; a `data:` URI is accepted.")
    name: str = Field("", max_length=256, description="What the answer calls it; its address where none is given.")

    @model_validator(mode="after")
    def _is_one(self) -> InputItem:
        if (self.url is None) == (self.base64 is None):
            raise ValueError("give either url or base64")
        return self


class ClassifyRequest(BaseModel):
    """Body of `/v1/classify/{question}` in JSON."""

    model_config = ConfigDict(extra="forbid")

    # Without a bound each item that is none is described before the body is refused: 21,000 in a body that is parsed at
    # once.
    items: list[InputItem] = Field(
        min_length=1, max_length=MOST_BATCH_ITEMS, description="At most `MAX_BATCH_ITEMS` (16 unless set otherwise)."
    )


class Segment(Strict):
    """One window of a recording that is longer than one."""

    start: float = Field(ge=0, description="Seconds from the beginning of the recording.")
    end: float = Field(ge=0, description="Seconds.")
    prediction: str
    confidence: Probability
    probabilities: dict[str, Probability]


class AudioSource(Strict):
    """The recording as it was sent."""

    duration: float = Field(ge=0, description="Seconds.")
    sample_rate: int = Field(ge=1, description="Hz.")
    channels: int = Field(ge=1)
    container: str


class ImageSource(Strict):
    """The picture as it was decoded: upright, and scaled down where it is very large."""

    width: int
    height: int


class FoundFaceBox(Strict):
    """A face, in pixels of the picture; it may reach beyond its edge."""

    left: float
    top: float
    width: float
    height: float
    score: Probability = Field(description="Of the detector.")
    judged: bool = Field(description="Whether the prediction is about this face: the largest one.")


class MemberVote(Strict):
    """What one model of the AI-voice ensemble says."""

    model: str
    score: Probability = Field(description="Probability of `AI_GENERATED`.")
    weight: float


class ItemAnswer(Strict):
    """The answer to one item; what its question has nothing of is null or empty."""

    status: Literal["success"] = "success"
    index: int = Field(ge=0, description="Place of the item in the request.")
    name: str = Field(description="Of its file, or its address.")
    prediction: str
    confidence: Probability
    probabilities: dict[str, Probability] = Field(description="Of all classes.")
    uncertain: bool = Field(description="Whether such answers are wrong more than one time in four.")
    problems: list[str] = Field(
        description="Why the input is hard to judge: `too_short`, `too_quiet`, `too_noisy`, `clipped`, "
        "`no_heart_beat`, `several_faces`, `turned`."
    )
    segments: list[Segment] = Field(description="The windows of a recording that is longer than one.")
    models: list[str] = Field(description="Tags of the models that answered.")
    audio: AudioSource | None = None
    image: ImageSource | None = None
    faces: list[FoundFaceBox] = Field([], description="All faces that were found, the largest first.")
    votes: list[MemberVote] = Field([], description="Of the AI-voice ensemble.")
    threshold: float | None = Field(None, description="Score above which a voice is `AI_GENERATED`.")
    features: dict[str, float] = Field({}, description="The measured acoustic features, by name.")
    explanation: str = ""


class ItemError(ErrorBody):
    """An item without an answer; the others have theirs."""

    index: int = Field(ge=0, description="Place of the item in the request.")
    name: str
    code: int = Field(description="HTTP status that the item alone would have been answered with.")
    retry_after: int | None = Field(None, description="Seconds after which trying again makes sense.")


class ClassifyResponse(Strict):
    """Answer of `/v1/classify/{question}`: an entry for each item, in their order."""

    question: str
    items: list[ItemAnswer | ItemError]


class Measured(Strict):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class FigureSet(Strict):
    """Figures of a model on one set of clips."""

    clips: int
    measures: dict[str, Measured] = Field(description="`accuracy`, `macro_recall`, `roc_auc`, `eer`.")


class ModelInput(Strict):
    """What a model takes at once."""

    kind: Literal["audio", "image"]
    sample_rate: int | None = Field(None, description="Hz.")
    window: float | None = Field(None, description="Longest piece (seconds).")
    size: int | None = Field(None, description="Width and height (pixels).")


class ModelDescription(Strict):
    """One model."""

    name: str
    title: str
    description: str
    tag: str | None = Field(description="The entry of the model store that is served; null while it is not known.")
    questions: list[str]
    classes: list[str]
    input: ModelInput
    licence: str = Field(description="What the weights may be used for.")
    figures: dict[str, FigureSet] = Field(description="By the clips that they were measured on.")
    card: str | None = Field(description="Address of its card.")


class ModelList(Strict):
    """Answer of `/v1/models`."""

    models: list[ModelDescription]
