"""The heart sound network: members that each saw another part of the training data, averaged in one graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models import ensembles, masked
from models.heart_sound import SPEC, statistics
from models.heart_sound.processing import BANDS
from training import export as compiled

WEIGHTS = Path(__file__).parent / "weights"
MEMBERS = 5
CLASSES = len(SPEC.classes)
SHAPES = {"spectrogram": [-1, -1, BANDS], "mask": [-1, -1], "summary": [-1, statistics.SIZE]}


class Picture(nn.Module):
    """A convolution network over the spectrogram."""

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
        mask = masked.shorten(mask)
        maps = masked.silence(self.stem(spectrogram[:, None]), mask)
        for stage in self.stages:
            maps = nn.functional.max_pool2d(masked.silence(stage(maps), mask), 2)
            mask = masked.shorten(mask)
        sequence = self.rhythm(maps.transpose(2, 3).flatten(1, 2))
        return cast(Tensor, self.head(masked.mean_and_max(sequence, mask)))


def _convolution(before: int, after: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())


class Summary(nn.Module):
    """A perceptron over the beat statistics, which it standardises itself."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int = 64) -> None:
        """Builds the layers.

        Args:
            width: Of the hidden layer.
        """
        super().__init__()
        self.register_buffer("mean", torch.zeros(statistics.SIZE))
        self.register_buffer("scale", torch.ones(statistics.SIZE))
        self.layers = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(statistics.SIZE, width), nn.GELU(), nn.Dropout(0.5), nn.Linear(width, CLASSES)
        )

    def standardise(self, summaries: NDArray[np.float32]) -> None:
        """Takes mean and deviation from training examples, float32 [examples, statistics]."""
        self.mean.copy_(torch.from_numpy(summaries.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(summaries.std(axis=0) + 1e-3))

    def forward(self, summary: Tensor) -> Tensor:
        """Logits [batch, classes] of [batch, statistics]; values beyond four deviations count as four."""
        return cast(Tensor, self.layers(((summary - self.mean) / self.scale).clamp(-4, 4)))


class Member(nn.Module):
    """Both views of a recording."""

    def __init__(self) -> None:
        """Builds the layers."""
        super().__init__()
        self.picture = Picture()
        self.summary = Summary()

    def opinions(self, spectrogram: Tensor, mask: Tensor, summary: Tensor) -> tuple[Tensor, Tensor]:
        """The two views' logits, [batch, classes] each."""
        return self.picture(spectrogram, mask), self.summary(summary)

    def forward(self, spectrogram: Tensor, mask: Tensor, summary: Tensor) -> Tensor:
        """Mean of the two views' log probabilities, [batch, classes]."""
        first, second = self.opinions(spectrogram, mask, summary)
        return (first.log_softmax(dim=1) + second.log_softmax(dim=1)) / 2


class Ensemble(ensembles.Ensemble):
    """The mean of the members' log probabilities."""

    member = Member

    def forward(self, spectrogram: Tensor, mask: Tensor, summary: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        return self.mean(spectrogram, mask, summary)


def load_native(weights: Path = WEIGHTS) -> Ensemble:
    """The ensemble of a folder, in evaluation mode."""
    return Ensemble.load(weights)


def export(weights: Path, batches: Sequence[compiled.Arrays]) -> float:
    """Writes the compiled form beside the native one.

    Args:
        weights: Folder with the native files and the calibration.
        batches: Collated recordings to check it on.

    Returns:
        The largest difference of a probability.
    """
    return compiled.save_torch(load_native(weights), weights, SHAPES, batches)
