"""Convolutions over clips of different lengths in one batch, such that the padding cannot be noticed.

Behind every convolution the frames beyond a clip's end are set to zero again, so that each clip sees exactly the zeros
that it would see at the edge of a batch of its own. ``models.padding`` builds such batches.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shorten(mask: Tensor, factor: int = 2) -> Tensor:
    """The mask after pooling by ``factor``, [batch, frames / factor]; a frame counts if any of its parts did."""
    return mask[:, ::factor]


def silence(maps: Tensor, mask: Tensor) -> Tensor:
    """Zeros in maps [batch, channels, frames, bands] beyond each clip's end; mask [batch, frames] of 1 and 0."""
    return maps * mask[:, None, :, None]


def mean_and_max(sequence: Tensor, mask: Tensor) -> Tensor:
    """Mean and largest value over a clip's own frames.

    Args:
        sequence: [batch, channels, frames].
        mask: [batch, frames] of 1 and 0.

    Returns:
        [batch, 2 * channels].
    """
    inside = mask[:, None]
    mean = (sequence * inside).sum(dim=2) / inside.sum(dim=2)
    largest = (sequence - 1e4 * (1 - inside)).amax(dim=2)
    return torch.cat((mean, largest), dim=1)


def spread(sequence: Tensor, mask: Tensor) -> Tensor:
    """Standard deviation over a clip's own frames.

    Args:
        sequence: [batch, channels, frames].
        mask: [batch, frames] of 1 and 0.

    Returns:
        [batch, channels].
    """
    inside = mask[:, None]
    count = inside.sum(dim=2)
    mean = (sequence * inside).sum(dim=2) / count
    variance = ((sequence - mean[:, :, None]).square() * inside).sum(dim=2) / count
    return torch.sqrt(variance + 1e-6)
