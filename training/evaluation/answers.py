"""A model's answers on clips, each taken the way of a request.

That is the same decoder, face detection, amplification, windows, engine and calibration as while serving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from core.errors import ServiceError
from core.settings import Settings, Voting, get_settings
from engine.predictor import Predictor
from media.audio import AudioLimits, DecodedAudio, decode
from media.image import MAX_PIXELS
from media.pcm import PcmFormat
from models.calibration import Calibration
from models.messages import InferenceResult
from models.spec import ImageInput, ModelSpec
from tasks import face_gender, heart_sound, voice_deepfake
from tasks.base import DetectedFace, Prediction, Steps, follow
from tasks.questions import questions
from tasks.voice_deepfake import MEMBERS, decide
from training.data.datasets import Clip, class_indices

Rows = NDArray[np.float64]

AMPLIFICATION = 10.0  # the default of /upload_audio
HEART_FORMAT = PcmFormat()  # in which /upload_audio takes recordings


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answers, and what would have been right.

    Attributes:
        classes: In the order of the columns.
        clips: The clips or pictures.
        labels: int64 [clips], the right classes.
        served: float64 [clips, classes], calibrated probabilities. A request that would be refused counts as wrong:
            nothing for the right class, the others alike.
        raw: The same before calibration.
        decided: int64 [clips], the classes answered.
        refused: bool [clips].
    """

    classes: tuple[str, ...]
    clips: Sequence[Clip]
    labels: NDArray[np.int64]
    served: Rows
    raw: Rows
    decided: NDArray[np.int64]
    refused: NDArray[np.bool_]

    @property
    def people(self) -> list[str]:
        """Who or what each clip is of: clips of one speaker, person or recording are not independent."""
        return [clip.group for clip in self.clips]


def answer(predictor: Predictor, clips: Sequence[Clip]) -> Answers:
    """Asks a model about clips of its data set."""
    spec, calibration = predictor.spec, predictor.entry.calibration
    pairs = [_one(predictor, clip, calibration) for clip in tqdm(clips, desc=spec.name, unit="clip", mininterval=5)]
    labels = class_indices(clips, spec.classes)
    refused = np.array([pair is None for pair in pairs])
    wrong = (1.0 - np.eye(len(spec.classes))) / (len(spec.classes) - 1)
    served, raw = (
        np.array([wrong[label] if pair is None else pair[place] for pair, label in zip(pairs, labels, strict=True)])
        for place in (0, 1)
    )
    return Answers(spec.classes, clips, labels, served, raw, served.argmax(axis=1), refused)


def ensemble(members: Sequence[Answers], settings: Settings | None = None) -> Answers:
    """Joins the answers of the three members as ``/api/voice-detection`` does; the threshold decides, not one half."""
    settings = settings or get_settings()
    first, classes = members[0], ("HUMAN", "AI_GENERATED")
    artificial = [member.classes.index("AI_GENERATED") for member in members]
    served, raw = (
        _weighed([part[:, place] for part, place in zip(rows, artificial, strict=True)], settings.voting)
        for rows in ([member.served for member in members], [member.raw for member in members])
    )
    decided = np.where(served[:, 1] > settings.voting.threshold, 1, 0)
    refused = np.any([member.refused for member in members], axis=0)
    return Answers(classes, first.clips, class_indices(first.clips, classes), served, raw, decided, refused)


def load(clip: Clip, spec: ModelSpec) -> DecodedAudio | DetectedFace:
    """One clip or picture, the way a request brings it to the model.

    Raises:
        ServiceError: The request would be refused.
    """
    data = clip.path.read_bytes()
    if isinstance(spec.input, ImageInput):
        return face_gender.find(data, spec.input.size, MAX_PIXELS)
    limits = AudioLimits()
    if spec.name == heart_sound.MODEL:
        return heart_sound.pcm_reader(HEART_FORMAT, AMPLIFICATION)(as_pcm(data), limits, spec.input.sample_rate)
    return decode(data, limits=limits, target_rate=spec.input.sample_rate)


def as_pcm(data: bytes) -> bytes:
    """A recording in the form that ``/upload_audio`` takes, ``HEART_FORMAT``."""
    samples = decode(data, limits=AudioLimits(), target_rate=HEART_FORMAT.sample_rate).samples
    return np.round(samples * 32767).astype("<i2").tobytes()


def steps(spec: ModelSpec, source: DecodedAudio | DetectedFace) -> Steps[Prediction]:
    """The task of a model: its question's, or its part in the AI-voice ensemble."""
    if spec.name in MEMBERS:
        assert isinstance(source, DecodedAudio)  # noqa: S101 - its input says so
        return (yield from voice_deepfake.member(spec.name, source))
    question = next(question for question in questions().values() if question.models == (spec.name,))
    found = yield from question.classify(source, get_settings())
    return found.members[spec.name]


def _one(predictor: Predictor, clip: Clip, calibration: Calibration) -> tuple[Rows, Rows] | None:
    """Calibrated and raw probabilities, float64 [classes] each; None where a request would be refused."""
    spec, results = predictor.spec, dict[int, list[InferenceResult]]()

    def served(_: str, windows: Sequence[NDArray[Any]]) -> Sequence[InferenceResult]:
        results[len(results)] = predictor.answer(windows)
        return results[len(results) - 1]

    def raw(_: str, __: Sequence[NDArray[Any]]) -> Sequence[InferenceResult]:
        return [undone(result, calibration) for result in again.pop(0)]

    try:
        source = load(clip, spec)
        first = follow(steps(spec, source), {spec.name: spec}, served)
        again = list(results.values())
        second = follow(steps(spec, source), {spec.name: spec}, raw)
    except ServiceError:
        return None
    return tuple(np.array(list(one.probabilities.values())) for one in (first, second))  # type: ignore[return-value]


def undone(result: InferenceResult, calibration: Calibration) -> InferenceResult:
    """A result as it would be without calibration."""
    rows = calibration.undone(np.array([result.probabilities]))
    return result.model_copy(update={"probabilities": rows[0].tolist()})


def _weighed(scores: Sequence[Rows], voting: Voting) -> Rows:
    """The ensemble's probabilities, float64 [clips, 2], from each member's of ``AI_GENERATED``, float64 [clips]."""
    verdicts = [decide([float(score) for score in row], voting) for row in zip(*scores, strict=True)]
    return np.array([[1.0 - verdict.score, verdict.score] for verdict in verdicts])
