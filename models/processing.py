"""The contract between a runner and a model's own pre-processing, and batches of clips of different lengths.

All of it runs while serving: NumPy only. The networks' side of padding is in ``models.networks``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]


class InvalidItem(ValueError):  # noqa: N818 - it names the item, as the processors raise it
    """One input that the model cannot judge; its batch-mates are not affected."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One input after pre-processing.

    Attributes:
        features: What the network reads, without the batch axis.
        extras: Measured values that travel back to the API beside the probabilities, by name.
        verdict: Probabilities of the classes where a rule decides and the network is not asked; usually empty.
    """

    features: Features
    extras: Mapping[str, float] = field(default_factory=dict)
    verdict: tuple[float, ...] = ()


class Processor(Protocol):
    """Turns decoded inputs into batches of a model."""

    def prepare(self, item: NDArray[Any]) -> Prepared:
        """Computes the features of one input.

        Args:
            item: Audio, float32 [samples] in [-1, 1] at the model's rate, or a picture, uint8 [height, width, 3] RGB.

        Raises:
            InvalidItem: The input cannot be judged (wrong shape, not finite, empty).
        """

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        """Builds one batch.

        Args:
            batch: The features of at least one input.

        Returns:
            Network inputs by name, batch axis first. Padding and masks are such that the answer for an input does
            not depend on its batch-mates.
        """


def check_audio(item: NDArray[Any]) -> Features:
    """Checks that an input is one channel of finite audio.

    Args:
        item: Expected float [samples].

    Returns:
        The same samples as float32.

    Raises:
        InvalidItem: Wrong number of axes, no samples, or values that are not finite.
    """
    if item.ndim != 1:
        raise InvalidItem(f"audio must be one channel, got an array of shape {item.shape}")
    if item.size == 0:
        raise InvalidItem("audio has no samples")
    samples = np.asarray(item, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise InvalidItem("audio has samples that are not finite numbers")
    return samples


def stack(batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
    """Builds a batch, ``input_values``, of features that all have one shape."""
    return {"input_values": np.stack(batch).astype(np.float32, copy=False)}


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
