"""What the playground's page shows of an answer: the answer itself, and what the model looked at."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Literal

from PIL import Image
from pydantic import BaseModel, Field

from dsp.features import FEATURES, Feature
from dsp.overview import LOW_HZ, RANGE_DB, mel_picture, outline
from media.audio import DecodedAudio
from tasks.base import DetectedFace, Prediction
from tasks.explanation import MEMBER_TITLES, NEED_VOICE, bundled_reference
from tasks.voice_deepfake import ARTIFICIAL

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
    """The recording as the model reads it."""

    duration_s: float = Field(description="Of what was read.")
    sample_rate: int = Field(description="Of the source (Hz).")
    channels: int = Field(description="Of the source.")
    container: str
    model_rate: int = Field(description="Of the model's input (Hz).")
    outline: list[tuple[int, int]] = Field(description="Lowest and highest sample of each piece, per cent.")
    spectrogram: Spectrogram


class Window(BaseModel):
    """One piece of a long recording."""

    start_s: float
    end_s: float
    shares: list[Share]


class FaceView(BaseModel):
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


class FeatureValue(BaseModel):
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
    face: FaceView | None = None
    votes: list[Vote] = []
    threshold: float | None = Field(None, description="Weighted score above which a voice is `AI_GENERATED`.")
    uncertain: bool = Field(False, description="Whether answers that are no clearer are often wrong.")
    features: list[FeatureValue] = []
    explanation: str = ""


COLUMNS = 600  # of outline and spectrogram: about as wide as the page shows them
COLUMNS_A_SECOND = 10  # of a long recording, which can be zoomed into
MOST_COLUMNS = 2400  # the spectrogram is then 400 KiB in an answer


def shares(probabilities: Mapping[str, float]) -> list[Share]:
    """The classes, the most probable first."""
    ordered = sorted(probabilities.items(), key=lambda pair: -pair[1])
    return [Share(name=name, probability=probability) for name, probability in ordered]


def sound(audio: DecodedAudio) -> Sound:
    """A recording at a glance."""
    length_s = audio.samples.size / audio.samples_rate
    columns = min(MOST_COLUMNS, max(COLUMNS, round(COLUMNS_A_SECOND * length_s)))
    levels = mel_picture(audio.samples, audio.samples_rate, columns)
    return Sound(
        duration_s=length_s,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        container=audio.container,
        model_rate=audio.samples_rate,
        outline=outline(audio.samples, columns).tolist(),
        spectrogram=Spectrogram(
            columns=levels.shape[1],
            bands=levels.shape[0],
            low_hz=LOW_HZ,
            top_hz=audio.samples_rate / 2,
            range_db=RANGE_DB,
            levels=base64.b64encode(levels.tobytes()).decode(),
        ),
    )


def window(start_s: float, end_s: float, probabilities: Mapping[str, float]) -> Window:
    """One piece of a long recording, with its classes in the model's order."""
    shares = [Share(name=name, probability=value) for name, value in probabilities.items()]
    return Window(start_s=start_s, end_s=end_s, shares=shares)


def face(found: DetectedFace) -> FaceView:
    """Where the face is, and what the model saw of it."""
    width, height = found.size
    left, top, face_width, face_height = found.face.box
    file = io.BytesIO()
    Image.fromarray(found.crop).save(file, "PNG")
    return FaceView(
        left=left / width,
        top=top / height,
        width=face_width / width,
        height=face_height / height,
        landmarks=[(float(x) / width, float(y) / height) for x, y in found.face.landmarks],
        score=found.face.score,
        crop=base64.b64encode(file.getvalue()).decode(),
    )


def votes(members: Mapping[str, Prediction], weights: Sequence[float]) -> list[Vote]:
    """What each member of the ensemble says, and how much it counts."""
    return [
        Vote(title=MEMBER_TITLES[name], score=answer.probabilities[ARTIFICIAL], weight=weight)
        for (name, answer), weight in zip(members.items(), weights, strict=True)
    ]


def feature_values(features: Mapping[str, float]) -> list[FeatureValue]:
    """The 47 features beside the range of human training speech."""
    return [_feature_value(feature, features) for feature in FEATURES]


def _feature_value(feature: Feature, features: Mapping[str, float]) -> FeatureValue:
    value = features[feature.name]
    quantiles = bundled_reference()[feature.name].quantiles
    low, high = quantiles[0], quantiles[-1]
    place: Place = "below" if value < low else "above" if value > high else "inside"
    if feature.name in NEED_VOICE and features["pitch_mean"] <= 0:
        place = "not measurable"
    return FeatureValue(name=feature.name, unit=feature.unit, value=value, low=low, high=high, place=place)
