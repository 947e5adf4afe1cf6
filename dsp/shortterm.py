"""What the pitch and the harmonicity analyses share: Praat's placement of frames, and peaks between samples.

Source: P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
sampled sound", IFA Proceedings 17, 1993.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsp.framing import SAMPLE_RATE, Float

LOWEST_PITCH = 75.0  # Hz, Praat's pitch floor
PERIOD = int(SAMPLE_RATE / LOWEST_PITCH)  # samples: the longest period, 213
STEP = SAMPLE_RATE // 100  # samples: 10 ms = 0.75 / LOWEST_PITCH, Praat's time step
INTERPOLATION_DEPTH = 30  # samples on each side that a windowed sine cardinal looks at
FRACTIONS = np.linspace(-1, 1, 41, dtype=np.float32)  # samples around a peak where it is evaluated


@dataclass(frozen=True, slots=True)
class Grid:
    """Frames of an analysis.

    Attributes:
        first: Time of the first frame's middle (seconds).
        count: Number of frames; ``STEP`` samples apart.
        before: The last sample at or before the first frame's middle (index); the other frames follow by ``STEP``.
    """

    first: float
    count: int
    before: int

    @classmethod
    def over(cls, samples: int, window_s: float) -> Grid:
        """Frames of ``window_s`` seconds, centred as a whole on the signal; none where the signal is too short."""
        duration, step = samples / SAMPLE_RATE, STEP / SAMPLE_RATE
        count = int((duration - window_s) / step + 1e-9) + 1 if duration >= window_s else 0
        first = 0.5 * duration - 0.5 * (count - 1) * step
        return cls(first, count, int(np.floor(first * SAMPLE_RATE - 0.5 + 1e-9)))

    def pieces(self, samples: Float, offset: int, length: int) -> Float:
        """One piece for each frame, zeros where it passes an end of the signal.

        Args:
            samples: float32 [samples].
            offset: Start of a piece relative to ``before`` (samples).
            length: Samples of a piece.

        Returns:
            float32 [count, length].
        """
        start = self.before + offset
        stop = start + (self.count - 1) * STEP + length
        kept = samples[max(start, 0) : max(stop, 0)]
        padded = np.pad(kept, (max(-start, 0), max(stop - samples.size, 0)))
        return np.lib.stride_tricks.sliding_window_view(padded, length)[::STEP]

    def means(self, samples: Float) -> Float:
        """Mean over the two longest periods around each frame's middle, float32 [count, 1]."""
        result: Float = self.pieces(samples, 1 - PERIOD, 2 * PERIOD).mean(axis=1, keepdims=True)
        return result


@lru_cache(maxsize=1)
def _kernels() -> Float:
    """Windowed sine cardinals that evaluate a sampled function at FRACTIONS, float32 [2 * depth + 1, fractions]."""
    distance = np.arange(-INTERPOLATION_DEPTH, INTERPOLATION_DEPTH + 1)[:, None] - FRACTIONS.astype(np.float64)
    taper = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / (INTERPOLATION_DEPTH + 0.5), -1, 1))
    return (np.sinc(distance) * taper).astype(np.float32)


def refine_peaks(correlation: Float, row: NDArray[np.intp], lag: NDArray[np.intp]) -> tuple[Float, Float]:
    """Position and height of maxima between the samples of an autocorrelation.

    Args:
        correlation: float32 [rows, lags], lag 0 first; symmetric about it.
        row: Row of each maximum.
        lag: Its lag, at most ``lags - 1 - INTERPOLATION_DEPTH``.

    Returns:
        Lag (samples) and height, float32 [maxima]; a height above 1 is answered by its inverse, as in Praat.
    """
    if row.size == 0:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    mirrored = np.concatenate([correlation[:, INTERPOLATION_DEPTH:0:-1], correlation], axis=1)
    around = np.lib.stride_tricks.sliding_window_view(mirrored, 2 * INTERPOLATION_DEPTH + 1, axis=1)
    fine = around[row, lag] @ _kernels()
    best = np.clip(fine.argmax(axis=1), 1, FRACTIONS.size - 2)
    index = np.arange(row.size)
    left, middle, right = (fine[index, best + shift] for shift in (-1, 0, 1))
    slope, curve = 0.5 * (right - left), 2 * middle - left - right
    shift = np.clip(slope / np.where(curve > 0, curve, np.inf), -1, 1)
    height = middle + 0.5 * slope * shift
    spacing = FRACTIONS[1] - FRACTIONS[0]
    return lag + FRACTIONS[best] + shift * spacing, np.where(height > 1, 1 / height, height)


def local_maxima(correlation: Float, longest: int, threshold: float) -> NDArray[np.bool_]:
    """Where a row has a local maximum above a threshold.

    Args:
        correlation: float32 [rows, lags].
        longest: Lags from 2 up to, not including, this one are looked at.
        threshold: Smallest height of interest.

    Returns:
        bool [rows, longest]; false at lags 0 and 1.
    """
    middle = correlation[:, 2:longest]
    found = np.zeros((correlation.shape[0], longest), bool)
    found[:, 2:] = (middle > threshold) & (middle > correlation[:, 1 : longest - 1])
    found[:, 2:] &= middle >= correlation[:, 3 : longest + 1]
    return found
