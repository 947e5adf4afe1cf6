"""The spectrogram member: convolution networks that judge the texture of speech, averaged in one graph."""

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
CHANNELS = (16, 32, 48, 64)  # of the layers
STRIDES = ((2, 2), (2, 2), (2, 2), (1, 2))  # over frames and bands
MIXED = 128  # channels after the bands are put together
BANDS_LEFT = BANDS // 2 ** len(STRIDES)


class TextureCnn(nn.Module):
    """Convolutions over frames and bands, then mean and spread of all bands' mixtures over time."""

    def __init__(self) -> None:
        """Builds the layers."""
        super().__init__()
        before = (1, *CHANNELS[:-1])
        self.layers = nn.ModuleList(map(_layer, before, CHANNELS, STRIDES))
        self.mix = nn.Sequential(
            nn.Conv1d(CHANNELS[-1] * BANDS_LEFT, MIXED, 1, bias=False), nn.BatchNorm1d(MIXED), nn.ReLU()
        )
        self.head = nn.Sequential(nn.BatchNorm1d(2 * MIXED), nn.Dropout(0.5), nn.Linear(2 * MIXED, CLASSES))

    def forward(self, spectrogram: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, classes] of [batch, frames, bands] and mask [batch, frames]."""
        maps, inside = spectrogram[:, None], mask
        for layer, (frames, _) in zip(self.layers, STRIDES, strict=True):
            inside = networks.shorten(inside, frames)
            maps = networks.silence(layer(maps), inside)
        mixed = self.mix(maps.transpose(2, 3).flatten(1, 2)).float()
        mean = (mixed * inside[:, None]).sum(dim=2) / inside.sum(dim=1, keepdim=True)
        return cast(Tensor, self.head(torch.cat((mean, networks.spread(mixed, inside)), dim=1)))


def _layer(before: int, after: int, stride: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


class Ensemble(networks.Ensemble):
    """The mean of several networks' logits."""

    member = TextureCnn

    def forward(self, spectrogram: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        return self.mean(spectrogram, mask)


def load_native(weights: Path = WEIGHTS) -> Ensemble:
    """The ensemble of a folder, in evaluation mode."""
    return Ensemble.load(weights)
