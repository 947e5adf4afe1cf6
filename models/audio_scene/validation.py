"""The validation clips of the set, in windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import windows
from models.audio_scene import SPEC
from models.audio_scene.bank import RATE, WINDOW_S
from models.audio_scene.processing import PROCESSOR
from models.training.datasets import class_indices, load_clips, read_manifest


@dataclass(frozen=True, slots=True)
class Windows:
    """Validation clips, cut into windows as they are while serving.

    Attributes:
        pictures: float32 [windows, frames, mel bins], normalised.
        clips: int64 [windows], which clip each window is of.
        labels: int64 [clips].
    """

    pictures: NDArray[np.float32]
    clips: NDArray[np.int64]
    labels: NDArray[np.int64]

    def mean(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Averages values [windows, n] over the windows of each clip."""
        sums = np.zeros((len(self.labels), values.shape[1]))
        np.add.at(sums, self.clips, values)
        return np.asarray(sums / np.bincount(self.clips)[:, None], np.float32)


def load_validation(data: Path) -> Windows:
    """The validation part of the set."""
    clips = read_manifest(data / "audio_scenes", "val")
    pieces = [windows.split(audio, int(WINDOW_S * RATE)) for audio in load_clips(clips, RATE)]
    pictures = np.stack([PROCESSOR.prepare(piece).features for clip in pieces for piece in clip])
    return Windows(
        pictures, np.repeat(np.arange(len(pieces)), [len(p) for p in pieces]), class_indices(clips, SPEC.classes)
    )
