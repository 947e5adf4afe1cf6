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
from dsp.activity import without_pauses
from engine.predictor import Predictor
from media.audio import AudioLimits, decode
from media.faces import crop_face, largest_face
from media.image import decode_image
from media.pcm import pcm_to_wav
from models.audio_scene.joining import join
from models.calibration import Calibration
from models.spec import AudioInput, ImageInput, ModelSpec
from models.windows import average, split
from tasks import speech
from tasks.ensemble import decide
from tasks.voice_deepfake import MEMBERS, fit
from training.data.datasets import Clip, class_indices

Rows = NDArray[np.float64]

JOINS = {"audio_scene": join}
SPOKEN = ("voice_gender", MEMBERS[0])  # of which speech alone has a vote
HEART_RATE = 16_000  # Hz: the form in which /upload_audio takes recordings


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


def load(clip: Clip, spec: ModelSpec) -> NDArray[Any]:
    """One clip or picture, the way a request brings it to the model.

    Raises:
        ServiceError: The request would be refused.
    """
    data = clip.path.read_bytes()
    if isinstance(spec.input, ImageInput):
        picture = decode_image(data, max_pixels=50_000_000)
        return crop_face(picture, largest_face(picture), spec.input.size)
    limits = AudioLimits()
    if spec.name == "heart_sound":
        samples = decode(data, limits=limits, target_rate=HEART_RATE).samples
        data = pcm_to_wav(np.round(samples * 32767).astype("<i2").tobytes(), HEART_RATE)
    samples = decode(data, limits=limits, target_rate=spec.input.sample_rate).samples
    if spec.name in (*SPOKEN, *MEMBERS):
        samples = without_pauses(samples, spec.input.sample_rate)
    return fit(samples) if spec.name in MEMBERS[1:] else samples


def _one(predictor: Predictor, clip: Clip, calibration: Calibration) -> tuple[Rows, Rows] | None:
    """Calibrated and raw probabilities, float64 [classes] each; None where a request would be refused."""
    spec = predictor.spec
    try:
        item = load(clip, spec)
    except ServiceError:
        return None
    size = round(spec.input.window_s * spec.input.sample_rate) if isinstance(spec.input, AudioInput) else 0
    pieces = split(item, size) if size else [item]
    outcomes = predictor.answer(pieces)
    served = np.array([outcome.probabilities for outcome in outcomes])
    lengths = [
        piece.shape[0] / spec.input.sample_rate if isinstance(spec.input, AudioInput) else 1.0 for piece in pieces
    ]
    try:
        weights = np.array(speech.weights(outcomes, lengths) if spec.name in SPOKEN else lengths)
    except ServiceError:
        return None
    joined = JOINS.get(spec.name, average)
    return joined(served, weights), joined(calibration.undone(served), weights)


def _weighed(scores: Sequence[Rows], voting: Voting) -> Rows:
    """The ensemble's probabilities, float64 [clips, 2], from each member's of ``AI_GENERATED``, float64 [clips]."""
    verdicts = [decide([float(score) for score in row], voting) for row in zip(*scores, strict=True)]
    return np.array([[1.0 - verdict.score, verdict.score] for verdict in verdicts])
