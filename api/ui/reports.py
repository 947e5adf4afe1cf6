"""What the playground's page shows of an answer: the answer itself, and what the model looked at."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Place = Literal["inside", "below", "above", "not measurable"]


class Share(BaseModel):
    """One class."""

    name: str
    probability: float = Field(ge=0, le=1)


class Answerer(BaseModel):
    """One model that answered."""

    title: str
    tag: str = Field(description="Its entry in the model store.")
    card: str | None = Field(description="Address of its card; none for weights that came without one.")


class Spectrogram(BaseModel):
    """A mel spectrogram as a picture."""

    columns: int
    bands: int
    low_hz: float
    top_hz: float
    range_db: float = Field(description="From the level 0 to the level 255.")
    levels: str = Field(description="Base64 of bytes [bands, columns], lowest band first, 255 the loudest.")


class Sound(BaseModel):
    """The recording as the model heard it."""

    duration_s: float = Field(description="Of what was heard.")
    sample_rate: int = Field(description="Of the source (Hz).")
    channels: int = Field(description="Of the source.")
    container: str
    heard_rate: int = Field(description="Of the model's input (Hz).")
    outline: list[tuple[int, int]] = Field(description="Lowest and highest sample of each piece, per cent.")
    spectrogram: Spectrogram


class Window(BaseModel):
    """One piece of a long recording."""

    start_s: float
    end_s: float
    shares: list[Share]


class FoundFace(BaseModel):
    """The face in the picture; everything but the crop in shares of the picture's width and height."""

    left: float
    top: float
    width: float
    height: float
    landmarks: list[tuple[float, float]]
    score: float
    crop: str = Field(description="Base64 of a PNG: what the model saw.")


class Vote(BaseModel):
    """One member of the AI-voice ensemble."""

    title: str
    score: float = Field(ge=0, le=1, description="Probability of `AI_GENERATED`.")
    weight: float


class Measured(BaseModel):
    """One of the 47 features beside what human speech has."""

    name: str
    unit: str
    value: float
    low: float = Field(description="First percentile of human training speech.")
    high: float = Field(description="99th percentile of human training speech.")
    place: Place


class Report(BaseModel):
    """One answer; what a question has nothing of is empty."""

    verdict: str
    shares: list[Share]
    models: list[Answerer]
    problems: list[str] = []
    sound: Sound | None = None
    windows: list[Window] = []
    face: FoundFace | None = None
    votes: list[Vote] = []
    threshold: float | None = Field(None, description="Weighted score above which a voice is `AI_GENERATED`.")
    uncertain: bool = Field(False, description="Whether answers that are no clearer are often wrong.")
    features: list[Measured] = []
    explanation: str = ""
