"""Batches of clips of different lengths; the networks' side of it is ``models.masked``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.processing import Features


def pad(batch: Sequence[Features], multiple: int) -> tuple[Features, NDArray[np.float32]]:
    """Brings sequences to one length, a multiple of the network's total pooling.

    Args:
        batch: float32 [frames, bands] each, at least one.
        multiple: What the common length is a multiple of.

    Returns:
        float32 [batch, frames, bands] with zeros behind each end, and the mask float32 [batch, frames].
    """
    frames = -(-max(len(item) for item in batch) // multiple) * multiple
    padded = np.zeros((len(batch), frames, batch[0].shape[1]), np.float32)
    mask = np.zeros((len(batch), frames), np.float32)
    for place, item in enumerate(batch):
        padded[place, : len(item)] = item
        mask[place, : len(item)] = 1.0
    return padded, mask
