"""What ``Wav2Vec2FeatureExtractor`` with ``do_normalize`` does, and the padding of batches; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.processing import Features, Prepared, check_audio

VARIANCE_FLOOR = 1e-7  # as in transformers: keeps silence silent
# Rows of a batch are whole steps long (seconds). The engine plans anew for each shape that it has not seen, which costs
# three times what the small networks do; a tenth of a second of padding costs them and the large ones 1 %.
STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Wav2Vec2Processor:
    """Normalises clips and pads them with an attention mask.

    A clip shorter than ``min_s`` is padded with zeros to that length. The mask covers the real samples, so the padding
    is never heard; only clips shorter than ``heard_s`` count as that long, since the network needs a whole frame.

    Attributes:
        sample_rate: Hz.
        min_s: Shortest row of a batch (seconds).
        heard_s: Shortest stretch that the mask covers (seconds).
    """

    sample_rate: int = 16_000
    min_s: float = 1.0
    heard_s: float = 0.25

    def prepare(self, item: NDArray[Any]) -> Prepared:
        """Normalises one clip to zero mean and unit variance over its samples.

        Args:
            item: float [samples] at ``sample_rate``.

        Returns:
            Features float32 [samples].

        Raises:
            InvalidItem: Wrong shape, empty or not finite.
        """
        return Prepared(normalise(check_audio(item)))

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        """Pads clips to one length, a multiple of ``STEP_S``.

        Args:
            batch: float32 [samples] each, as ``prepare`` returns them.

        Returns:
            ``input_values`` float32 [batch, samples] and ``attention_mask`` int64 [batch, samples], 1 where a sample
            counts and 0 where it is padding.
        """
        step = round(STEP_S * self.sample_rate)
        width = -(-max(round(self.min_s * self.sample_rate), *(clip.size for clip in batch)) // step) * step
        values = np.zeros((len(batch), width), np.float32)
        mask = np.zeros((len(batch), width), np.int64)
        for row, clip in enumerate(batch):
            values[row, : clip.size] = clip
            mask[row, : max(clip.size, round(self.heard_s * self.sample_rate))] = 1
        return {"input_values": values, "attention_mask": mask}


def normalise(samples: Features) -> Features:
    """A clip with zero mean and unit variance, float32 [samples]."""
    centred = samples - samples.mean()  # in single precision throughout: NumPy adds in pairs, which keeps the digits
    return np.asarray(centred / np.sqrt(np.mean(np.square(centred)) + np.float32(VARIANCE_FLOOR)), np.float32)
