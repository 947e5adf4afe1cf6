"""One heart sound file without the server, as the ``model3`` module of the reference offers it."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from core.settings import get_settings
from engine.predictor import Predictor
from media.audio import AudioLimits, decode
from models.heart_sound import SPEC
from models.spec import AudioInput
from tasks.base import follow
from tasks.heart_sound import as_result, classify


def predict_class_with_confidence(audio_file: str | os.PathLike[str]) -> tuple[int, float]:
    """Classifies a recording with the bundled weights; nothing is stored.

    Args:
        audio_file: Path of a WAV file, or of any other that ``media.audio`` decodes.

    Returns:
        Index into ``SPEC.classes``, and the confidence in percent.

    Raises:
        OSError: The file cannot be read.
        ServiceError: It is not audio, is too short or too long, or holds nothing that can be judged.
    """
    assert isinstance(SPEC.input, AudioInput)  # noqa: S101 - for the type checker
    limits = AudioLimits(max_seconds=get_settings().max_audio_seconds)
    audio = decode(Path(audio_file).read_bytes(), limits=limits, target_rate=SPEC.input.sample_rate)
    found = as_result(follow(classify(audio), {SPEC.name: SPEC}, lambda _, windows: _predictor().answer(windows)))
    return SPEC.classes.index(found.class_), found.confidence


@functools.cache
def _predictor() -> Predictor:
    return Predictor.bundled(SPEC.name)
