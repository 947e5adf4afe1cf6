"""Real clips and pictures for each model: what a saved network is checked on, and what benchmarks ask about."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media.audio import AudioLimits, decode
from media.faces import cut_out_face
from media.image import decode_image
from models.spec import ImageInput, ModelSpec, split

FOLDER = Path(__file__).parent.parent / "tests" / "data"
FILES = {
    "voice_gender": "voices/*.flac",
    "heart_sound": "hearts/*.flac",
    "audio_scene": "scenes/*.flac",
}
SPEECH = "ai_voice/*_*.*"  # for the three members of the AI-voice ensemble, and for what is not named
PORTRAITS = "faces/*male_*.jpg"  # for whatever looks at pictures


def items(spec: ModelSpec) -> list[NDArray[Any]]:
    """The clips or pictures of a model, as a runner takes them: every window of each.

    Raises:
        FileNotFoundError: They are not here, as in a built bento.
    """
    usual = PORTRAITS if isinstance(spec.input, ImageInput) else SPEECH
    files = sorted(FOLDER.glob(FILES.get(spec.name, usual)))
    if not files:
        raise FileNotFoundError(f"there are no clips for {spec.name} in {FOLDER}")
    return [item for file in files for item in _load(file, spec)]


def _load(file: Path, spec: ModelSpec) -> list[NDArray[Any]]:
    if isinstance(spec.input, ImageInput):
        return [_face(file, spec.input.size)]
    samples = _samples(file, spec.input.sample_rate)
    return list(split(samples, round(spec.input.window_s * spec.input.sample_rate)))


@functools.cache
def _samples(file: Path, rate: int) -> NDArray[np.float32]:
    return decode(file.read_bytes(), limits=AudioLimits(), target_rate=rate).samples


@functools.cache
def _face(file: Path, size: int) -> NDArray[np.uint8]:
    picture = decode_image(file.read_bytes())
    return cut_out_face(picture, size)
