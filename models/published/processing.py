"""Pre-processing of published checkpoints, by the numbers of their own configuration; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.audio_scene import SPEC as SCENES
from models.processing import Features, Prepared, check_audio, stack
from models.published.spectrogram import GATE_DBFS, AstProcessor

VARIANCE_FLOOR = 1e-7  # as in transformers: keeps silence silent
SILENCE = tuple(float(name == "silence") for name in SCENES.classes)


@dataclass(frozen=True, slots=True)
class WaveformProcessor:
    """Clips of one length, as the published wav2vec2 classifiers were trained on.

    With one length there is nothing to mask, so checkpoints whose first layer is normalised over time (group norm)
    answer alike whatever their batch-mates are.

    Attributes:
        samples: Length of every clip.
        fill: What follows a shorter clip: zeros, or the clip again and again.
        normalise: Whether the clip, what fills it included, is brought to zero mean and unit variance.
    """

    samples: int
    fill: Literal["zeros", "repeat"]
    normalise: bool

    def prepare(self, item: NDArray[Any]) -> Prepared:
        """Brings a clip to the network's length.

        Args:
            item: float [samples]; what is beyond the length is not looked at.

        Returns:
            Features float32 [samples].

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        clip = check_audio(item)[: self.samples]
        repeated = self.fill == "repeat"
        clip = np.resize(clip, self.samples) if repeated else np.pad(clip, (0, self.samples - clip.size))
        return Prepared(normalise(clip) if self.normalise else clip)

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        """``input_values``, float32 [batch, samples]."""
        return stack(batch)


@dataclass(frozen=True, slots=True)
class GatedSceneProcessor:
    """The picture of a published Audio Spectrogram Transformer, behind the energy gate for silence.

    Attributes:
        ast: Its feature extractor.
    """

    ast: AstProcessor

    def prepare(self, item: NDArray[Any]) -> Prepared:
        """Computes the picture of one window; below the gate the answer is silence, and no network is asked.

        Args:
            item: float32 [samples], 16 kHz, in [-1, 1].

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        prepared = self.ast.prepare(item)
        below = prepared.extras["loudest_dbfs"] < GATE_DBFS
        return replace(prepared, verdict=SILENCE) if below else prepared

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        """``input_values``, float32 [batch, frames, mel bins]."""
        return self.ast.collate(batch)


def normalise(samples: Features) -> Features:
    """A clip with zero mean and unit variance, float32 [samples]."""
    centred = samples - samples.mean()  # in single precision throughout: NumPy adds in pairs, which keeps the digits
    return np.asarray(centred / np.sqrt(np.mean(np.square(centred)) + np.float32(VARIANCE_FLOOR)), np.float32)
