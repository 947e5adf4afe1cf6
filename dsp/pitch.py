"""Fundamental frequency as Praat's "To Pitch (ac)" finds it with its standard settings (Boersma 1993).

Autocorrelation of windowed frames, divided by the autocorrelation of the window; its maxima are the candidates of a
frame, and the cheapest path through all frames decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsp.framing import SAMPLE_RATE, Float
from dsp.shortterm import INTERPOLATION_DEPTH, LOWEST_PITCH, PERIOD, STEP, Grid, local_maxima, refine_peaks

HIGHEST_PITCH = 600.0  # Hz
WINDOW_S = 3 / LOWEST_PITCH  # three of the longest periods: 40 ms
HALF = int(WINDOW_S * SAMPLE_RATE) // 2 - 1  # samples in half a window: 319
LONGEST_LAG = 2 * HALF // 3 + 2  # samples
TRANSFORM = 1024  # points: at least one window and the longest lag that is used
CANDIDATES = 14  # per frame, and one that says "unvoiced"
SILENCE_THRESHOLD = 0.03  # frames whose peak is below this share of the signal's peak tend to unvoiced
VOICING_THRESHOLD = 0.45  # strength of the unvoiced candidate
OCTAVE_COST = 0.01  # per octave, favours high candidates
OCTAVE_JUMP_COST = 0.35  # per octave between neighbouring frames
VOICING_COST = 0.14  # for each change between voiced and unvoiced


@dataclass(frozen=True, slots=True)
class PitchTrack:
    """Fundamental frequency over time.

    Attributes:
        first: Time of the first frame (seconds).
        step: From frame to frame (seconds).
        hertz: float64 [frames], 0 where unvoiced.
    """

    first: float
    step: float
    hertz: NDArray[np.float64]

    @property
    def voiced(self) -> NDArray[np.float64]:
        """Frequencies of the voiced frames (Hz)."""
        return self.hertz[self.hertz > 0]


def track(samples: Float) -> PitchTrack:
    """Finds the fundamental frequency.

    Args:
        samples: float32 [samples] at 16 kHz.

    Returns:
        One value each 10 ms; no values for less than 40 ms, zeros for silence.
    """
    grid = Grid.over(samples.size, WINDOW_S)
    peak = float(np.abs(samples - samples.mean()).max()) if samples.size else 0.0
    if grid.count == 0 or peak == 0:
        return PitchTrack(grid.first, STEP / SAMPLE_RATE, np.zeros(grid.count))
    correlation, intensity = _correlate(samples, grid, peak)
    hertz, strength = _candidates(correlation)
    unvoiced = VOICING_THRESHOLD + np.maximum(0, 2 - intensity / (SILENCE_THRESHOLD / (1 + VOICING_THRESHOLD)))
    return PitchTrack(grid.first, STEP / SAMPLE_RATE, _cheapest_path(hertz, strength, unvoiced))


@lru_cache(maxsize=1)
def _window() -> tuple[Float, Float]:
    """Hann window and the inverse of its normalised autocorrelation up to the longest lag used."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, 2 * HALF + 1) / (2 * HALF + 1))
    own = np.fft.irfft(np.abs(np.fft.rfft(window, TRANSFORM)) ** 2)[: LONGEST_LAG + INTERPOLATION_DEPTH + 1]
    return window.astype(np.float32), (own[0] / own).astype(np.float32)


def _correlate(samples: Float, grid: Grid, peak: float) -> tuple[Float, Float]:
    """Normalised autocorrelation [frames, lags] and relative peak [frames] of every frame."""
    window, correction = _window()
    pieces = (grid.pieces(samples, 1 - HALF, 2 * HALF) - grid.means(samples)) * window
    middle = slice(HALF - PERIOD // 2 - 1, HALF + PERIOD // 2 + 1)
    intensity = np.minimum(1, np.abs(pieces[:, middle]).max(axis=1) / peak)
    transform = np.fft.rfft(pieces, TRANSFORM, axis=1)
    power = np.square(transform.real) + np.square(transform.imag)
    raw = np.asarray(np.fft.irfft(power, TRANSFORM, axis=1)[:, : correction.size], np.float32)
    energy = raw[:, :1]
    raw /= np.where(energy > np.finfo(np.float32).tiny, energy, np.float32(np.inf))
    return raw * correction, intensity


def _candidates(correlation: Float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies (Hz) and strengths, both [frames, CANDIDATES]; absent ones have strength -inf."""
    found = local_maxima(correlation, LONGEST_LAG, 0.5 * VOICING_THRESHOLD)
    found[:, : int(SAMPLE_RATE / HIGHEST_PITCH)] = False
    row, lag = np.nonzero(found)
    position, height = refine_peaks(correlation, row, lag)
    value = height - OCTAVE_COST * np.log2(HIGHEST_PITCH * position / SAMPLE_RATE)
    value[SAMPLE_RATE / position >= HIGHEST_PITCH] = -np.inf
    order = np.lexsort((-value, row))
    row, position, value = row[order], position[order], value[order]
    rank = np.arange(row.size) - np.searchsorted(row, row)
    kept = rank < CANDIDATES
    shape = (correlation.shape[0], CANDIDATES)
    hertz, strength = np.full(shape, LOWEST_PITCH), np.full(shape, -np.inf)
    hertz[row[kept], rank[kept]] = SAMPLE_RATE / position[kept]
    strength[row[kept], rank[kept]] = value[kept]
    return hertz, strength


def _cheapest_path(
    hertz: NDArray[np.float64], strength: NDArray[np.float64], unvoiced: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Viterbi's path through the candidates; candidate 0 is "unvoiced".

    Args:
        hertz: [frames, candidates].
        strength: [frames, candidates], octave cost included.
        unvoiced: Strength of the unvoiced candidate, [frames].

    Returns:
        Hz, float64 [frames], 0 where the path is unvoiced.
    """
    frames, width = hertz.shape[0], hertz.shape[1] + 1
    octaves = np.log2(hertz)
    scores = np.concatenate([unvoiced[:, None], strength], axis=1)
    cost = np.full((frames - 1, width, width), VOICING_COST)
    cost[:, 0, 0] = 0
    cost[:, 1:, 1:] = OCTAVE_JUMP_COST * np.abs(octaves[1:, :, None] - octaves[:-1, None, :])
    best = scores[0]
    origin = np.zeros((frames, width), np.intp)
    columns = np.arange(width)
    for frame in range(1, frames):
        reached = best - cost[frame - 1]  # [to, from]
        choice = reached.argmax(axis=1)
        origin[frame] = choice
        best = reached[columns, choice] + scores[frame]
    path = np.zeros(frames, np.intp)
    path[-1] = best.argmax()
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = origin[frame, path[frame]]
    chosen = hertz[np.arange(frames), np.maximum(path - 1, 0)]
    return np.where(path == 0, 0.0, chosen)
