"""The heart sound network: a small convolutional network over a spectrogram."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from models import networks
from models.heart_sound import SPEC
from models.heart_sound.processing import BANDS

WEIGHTS = Path(__file__).parent / "weights"
MEMBERS = 2
CLASSES = len(SPEC.classes)
SHAPES = {"spectrogram": [-1, -1, BANDS], "mask": [-1, -1]}


class Member(nn.Module):
    """A convolutional network over the spectrogram."""

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64)) -> None:
        """Builds the layers.

        Args:
            widths: Channels of stem and stages; each halves time and bands.
        """
        super().__init__()
        self.stem = _convolution(1, widths[0], kernel=5, stride=2)
        self.stages = nn.ModuleList(_convolution(before, after) for before, after in pairwise(widths))
        merged = widths[-1] * BANDS // 8
        self.rhythm = nn.Sequential(nn.Conv1d(merged, 64, 7, padding=3, bias=False), nn.BatchNorm1d(64), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.4), nn.Linear(128, CLASSES))

    def forward(self, spectrogram: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, classes] of [batch, frames, bands]; frames a multiple of 8."""
        mask = networks.shorten(mask)
        maps = networks.silence(self.stem(spectrogram[:, None]), mask)
        for stage in self.stages:
            maps = nn.functional.max_pool2d(networks.silence(stage(maps), mask), 2)
            mask = networks.shorten(mask)
        sequence = self.rhythm(maps.transpose(2, 3).flatten(1, 2))
        return cast(Tensor, self.head(networks.mean_and_max(sequence, mask)))


def _convolution(before: int, after: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())


class Ensemble(networks.Ensemble):
    """The mean of the members' logits."""

    member = Member

    def forward(self, spectrogram: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        return self.mean(spectrogram, mask)


def load_native(weights: Path = WEIGHTS) -> Ensemble:
    """The ensemble of a folder, in evaluation mode."""
    return Ensemble.load(weights)
