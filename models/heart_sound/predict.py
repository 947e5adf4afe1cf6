"""One heart sound file without a server, as the reference has it (docs/contract.md, Heart sound)."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from core.errors import BadRequest, InternalError
from engine.predictor import Predictor
from media.audio import AudioLimits, decode
from models.heart_sound import SPEC
from models.spec import AudioInput
from models.windows import split


def predict_class_with_confidence(audio_file: str | os.PathLike[str]) -> tuple[int, float]:
    """Classifies a recording with the bundled weights; nothing is stored.

    Args:
        audio_file: Path of a WAV file, or of any other that ``media.audio`` decodes.

    Returns:
        Index into ``SPEC.classes``, and the confidence in percent.

    Raises:
        OSError: The file cannot be read.
        ServiceError: It is not audio, is too long, or holds nothing that can be judged.
    """
    assert isinstance(SPEC.input, AudioInput)  # noqa: S101 - for the type checker
    rate = SPEC.input.sample_rate
    samples = decode(Path(audio_file).read_bytes(), limits=AudioLimits(), target_rate=rate).samples
    windows = split(samples, round(SPEC.input.window_s * rate))
    outcomes = _predictor().answer(windows)
    for outcome in outcomes:
        if outcome.kind != "ok":
            raise (BadRequest if outcome.kind == "invalid" else InternalError)(outcome.error or "no answer")
    rows = [outcome.probabilities for outcome in outcomes]
    mean = np.average(rows, axis=0, weights=[window.size for window in windows])
    best = int(mean.argmax())
    return best, round(100 * float(mean[best]), 1)


@functools.cache
def _predictor() -> Predictor:
    return Predictor.bundled(SPEC.name)
