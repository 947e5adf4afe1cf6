"""What a model says of one recording or picture, made of what its runner said of each window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core import metrics
from core.errors import BadRequest, InternalError
from core.request import note_model
from media.audio import DecodedAudio
from models.messages import InferenceResult
from models.spec import ModelSpec
from models.windows import average

Join = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]  # of rows and their weights


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one recording or picture.

    Attributes:
        tag: Store entry that answered.
        probabilities: By class name, in the model's order; they sum to 1.
        extras: Values measured on the way, by name; means over the windows.
        windows: Probabilities of each window, for recordings that are longer than one.
    """

    tag: str
    probabilities: Mapping[str, float]
    extras: Mapping[str, float] = field(default_factory=dict)
    windows: Sequence[Mapping[str, float]] = ()

    @property
    def best(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


@dataclass(frozen=True, slots=True)
class AudioPrediction:
    """What a model says of a recording, and what it heard.

    Attributes:
        answer: The model's.
        audio: The recording, mono at the model's rate.
    """

    answer: Prediction
    audio: DecodedAudio


def join_results(
    spec: ModelSpec, outcomes: Sequence[InferenceResult], weights: Sequence[float], join: Join = average
) -> Prediction:
    """Joins the outcomes of a recording's windows, and counts the answer.

    Args:
        spec: The model that was asked.
        outcomes: Of the windows, or of the one item that was seen whole.
        weights: Lengths of the windows.
        join: Makes one answer of theirs.

    Raises:
        BadRequest: The model cannot judge the input.
        InternalError: The model failed.
    """
    for outcome in outcomes:
        if outcome.kind != "ok":
            message = outcome.error or "no answer"
            raise BadRequest(message) if outcome.kind == "invalid" else InternalError(message)
    rows = np.array([outcome.probabilities for outcome in outcomes])
    mean = join(rows, np.asarray(weights, np.float64))
    made = Prediction(
        outcomes[0].model,
        dict(zip(spec.classes, mean.tolist(), strict=True)),
        _joined([outcome.extras for outcome in outcomes], weights, spec.measures),
        [dict(zip(spec.classes, row, strict=True)) for row in rows.tolist()],
    )
    metrics.ANSWERS.labels(spec.name, made.tag, made.best).inc()
    note_model(made.tag)
    return made


def _joined(
    extras: Sequence[Mapping[str, float]], weights: Sequence[float], amounts: Sequence[str]
) -> Mapping[str, float]:
    """What was measured in the windows of a recording: sums of amounts, and means, weighted like the answers.

    A flag, which is 0 or 1 in a window, becomes the part of the recording that it holds for.
    """
    if len(extras) == 1:
        return extras[0]
    return {
        name: float(sum(one[name] for one in extras))
        if name in amounts
        else float(np.average([one[name] for one in extras], weights=weights))
        for name in extras[0]
    }
