"""What the torch networks share: convolutions over padded clips, and ensembles with their files.

Behind every convolution the frames beyond a clip's end are set to zero again, so that each clip sees exactly the zeros
that it would see at the edge of a batch of its own. ``models.processing.pad`` builds such batches.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


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


NATIVE, CONFIG = "model.safetensors", "config.json"


class Ensemble(nn.Module):
    """The mean of the members' logits; a subclass says what the members are, and names their inputs in ``forward``."""

    member: ClassVar[type[nn.Module]]

    def __init__(self, members: int) -> None:
        """Builds the members.

        Args:
            members: How many.
        """
        super().__init__()
        self.members = nn.ModuleList(self.member() for _ in range(members))

    def mean(self, *inputs: Tensor) -> Tensor:
        """Logits [batch, classes] of what each member takes."""
        return torch.stack([member(*inputs) for member in self.members]).mean(dim=0)

    def save(self, weights: Path) -> None:
        """Writes the files into a weights folder."""
        weights.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, weights / NATIVE)
        (weights / CONFIG).write_text(json.dumps({"members": len(self.members)}) + "\n")

    @classmethod
    def load(cls, weights: Path) -> Self:
        """The ensemble of a weights folder, in evaluation mode."""
        ensemble = cls(json.loads((weights / CONFIG).read_text())["members"])
        ensemble.load_state_dict(load_file(weights / NATIVE))
        return ensemble.eval()
