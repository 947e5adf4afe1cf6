"""The spectrogram member: small convolution networks that judge the texture of speech, averaged in one graph."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from models import networks
from models.deepfake_cnn import SPEC
from models.deepfake_cnn.processing import BANDS

WEIGHTS = Path(__file__).parent / "weights"
CLASSES = len(SPEC.classes)
SHAPES = {"spectrogram": [-1, -1, BANDS], "mask": [-1, -1]}
WIDTH = 64  # channels


class TextureCnn(nn.Module):
    """Convolutions over time and all bands, then mean and spread of their channels over time."""

    def __init__(self) -> None:
        """Builds the layers."""
        super().__init__()
        self.first, self.second = _layer(BANDS, 5, stride=2), _layer(WIDTH, 3)
        self.head = nn.Sequential(nn.BatchNorm1d(2 * WIDTH), nn.Dropout(0.5), nn.Linear(2 * WIDTH, CLASSES))

    def forward(self, spectrogram: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, classes] of [batch, frames, bands] and mask [batch, frames]."""
        half = networks.shorten(mask)
        inside = half[:, None]
        maps = self.second(self.first(spectrogram.transpose(1, 2)) * inside)
        mean = (maps * inside).sum(dim=2) / inside.sum(dim=2)
        return cast(Tensor, self.head(torch.cat((mean, networks.spread(maps, half)), dim=1)))


def _layer(before: int, frames: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(before, WIDTH, frames, stride, padding=frames // 2, bias=False), nn.BatchNorm1d(WIDTH), nn.ReLU()
    )


class Ensemble(networks.Ensemble):
    """The mean of several networks' logits."""

    member = TextureCnn

    def forward(self, spectrogram: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        return self.mean(spectrogram, mask)


def load_native(weights: Path = WEIGHTS) -> Ensemble:
    """The ensemble of a folder, in evaluation mode."""
    return Ensemble.load(weights)
