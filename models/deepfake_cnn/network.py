"""The spectrogram member: convolution networks that judge the texture of speech, averaged in one graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from dsp import mel
from models import ensembles, masked
from models import export as compiled
from models.deepfake_cnn import SPEC
from models.deepfake_cnn.processing import BANDS, MEL

WEIGHTS = Path(__file__).parent / "weights"
CLASSES = len(SPEC.classes)
SHAPES = {"spectrogram": [-1, -1, BANDS], "mask": [-1, -1]}
LAGS = (1, 3)  # frames: differences over 10 and 30 ms


class TextureCnn(nn.Module):
    """Convolutions over all bands of frames and of frame differences, and how much their answers spread over time.

    The first layer starts as the cosine transform of the picture on a linear frequency axis (above 1 kHz the mel bands
    are wide where vocoders leave most of their traces), and learns on from there. Only spreads over time reach the
    perceptron: they do not change with the microphone's response or the level, which told the training clips'
    collections apart and nothing about new ones. (A deeper network with max-feature-map units did just that: a
    ROC-AUC of 0.88 on its training clips and 0.57 on the validation part.)
    """

    def __init__(self, cepstra: int = 40, width: int = 256) -> None:
        """Builds the layers.

        Args:
            cepstra: Channels of the first layer.
            width: Of the hidden layer.
        """
        super().__init__()
        self.cepstra = nn.Conv1d(BANDS, cepstra, 1, bias=False)
        self.cepstra.weight.data.copy_(_cosines(cepstra)[:, :, None])
        self.cepstra.weight.rate_scale = 0.02  # type: ignore[attr-defined]  # it starts from something that works
        spreads = (1 + len(LAGS)) * cepstra
        self.norm = nn.BatchNorm1d(spreads)
        self.head = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(spreads, width), nn.GELU(), nn.Dropout(0.5), nn.Linear(width, CLASSES)
        )

    def forward(self, spectrogram: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, classes] of [batch, frames, bands] and mask [batch, frames]."""
        static = self.cepstra(spectrogram.transpose(1, 2))
        moving = [masked.spread(static[:, :, lag:] - static[:, :, :-lag], mask[:, lag:]) for lag in LAGS]
        spreads = torch.cat((masked.spread(static, mask), *moving), dim=1)
        return cast(Tensor, self.head(self.norm(spreads)))


def _cosines(count: int, points: int = 70) -> Tensor:
    """Picks ``points`` evenly spaced frequencies out of the mel bands, then their cosine transform, [count, BANDS]."""
    edges = mel.mel_to_hertz(np.linspace(mel.hertz_to_mel(MEL.low_hz), mel.hertz_to_mel(MEL.high_hz), BANDS + 2))
    hertz = MEL.low_hz + (np.arange(points) + 0.5) * (MEL.high_hz - MEL.low_hz) / points
    picked = np.stack([np.interp(hertz, edges[1:-1], row) for row in np.eye(BANDS)], axis=1)  # [points, BANDS]
    waves = np.cos(np.pi * np.arange(count)[:, None] * (np.arange(points) + 0.5) / points) * np.sqrt(2 / points)
    return torch.from_numpy(waves @ picked).float()


class Ensemble(ensembles.Ensemble):
    """The mean of several networks' logits."""

    member = TextureCnn

    def forward(self, spectrogram: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        return self.mean(spectrogram, mask)


def load_native(weights: Path = WEIGHTS) -> Ensemble:
    """The ensemble of a folder, in evaluation mode."""
    return Ensemble.load(weights)


def export(weights: Path, batches: Sequence[compiled.Arrays]) -> float:
    """Writes the compiled form beside the native one.

    Args:
        weights: Folder with the native files and the calibration.
        batches: Collated clips to check it on.

    Returns:
        The largest difference of a probability.
    """
    return compiled.save_torch(load_native(weights), weights, SHAPES, batches)
