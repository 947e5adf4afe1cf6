"""What the third convolution reads off the levels of the bands; each way comes in both signs, for the rectifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

STENCILS = {  # weights by (place in frequency, in spans; frame)
    "level": {(0, t): 1.0 for t in (0, 1, 2)},
    "slope": {(0, 1): -1.0, (1, 1): 1.0},
    "peak": {(-1, 1): -1.0, (0, 1): 2.0, (1, 1): -1.0},
    "onset": {(0, 0): -1.0, (0, 1): 1.0},
    "burst": {(0, 0): -1.0, (0, 1): 2.0, (0, 2): -1.0},
}


class Details(Protocol):
    """One way to set the third convolution."""

    @property
    def kernel(self) -> int:
        """Frames that it spans."""

    def rows(self, bands: int) -> NDArray[np.float32]:
        """Weights of one sign, float32 [channels, bands, kernel], of so many bands' levels."""


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Levels of neighbours in frequency and time, band by band (``STENCILS``).

    Attributes:
        span: Distance of the bands that are compared.
    """

    span: int = 1

    @property
    def kernel(self) -> int:
        """Frames that it spans."""
        return 3

    def rows(self, bands: int) -> NDArray[np.float32]:
        """Weights of one sign, float32 [5 * bands, bands, 3]."""
        weights = np.zeros((len(STENCILS) * bands, bands, self.kernel), np.float32)
        places = [(stencil, centre) for stencil in STENCILS.values() for centre in range(bands)]
        for row, (stencil, centre) in enumerate(places):
            for (offset, frame), value in stencil.items():
                weights[row, min(max(centre + offset * self.span, 0), bands - 1), frame] += value
        return weights


@dataclass(frozen=True, slots=True)
class Textures:
    """How far each cepstral coefficient moves within a few frames.

    The mean of the rectified movements is the spread of the coefficient, which microphones and levels do not change.

    Attributes:
        cepstra: Coefficients, from the lowest.
        lags: Frames over which movement is measured.
    """

    cepstra: int = 40
    lags: Sequence[int] = (1, 2, 10)

    @property
    def kernel(self) -> int:
        """Frames that it spans."""
        return max(self.lags) + 1

    def rows(self, bands: int) -> NDArray[np.float32]:
        """Weights of one sign, float32 [lags * cepstra, bands, kernel]."""
        waves = np.cos(np.pi * np.arange(self.cepstra)[:, None] * (np.arange(bands) + 0.5) / bands)
        weights = np.zeros((len(self.lags), self.cepstra, bands, self.kernel), np.float32)
        for part, lag in zip(weights, self.lags, strict=True):
            first = (self.kernel - 1 - lag) // 2
            part[:, :, first], part[:, :, first + lag] = -waves, waves
        return weights.reshape(-1, bands, self.kernel)


@torch.no_grad()
def write(details: Details, conv: nn.Conv1d, bands: int, ramps: int) -> None:
    """Sets a convolution that reads ``ramps`` channels for each band: all rows as they are, then all negated."""
    rows = torch.from_numpy(details.rows(bands))
    nn.init.zeros_(conv.weight)
    for ramp in range(ramps):
        place = slice(ramp * bands, (ramp + 1) * bands)
        conv.weight[: len(rows), place], conv.weight[len(rows) :, place] = rows, -rows
