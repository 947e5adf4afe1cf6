"""Voice quality by Praat's definitions: jitter, shimmer, and the harmonics-to-noise ratio.

Jitter and shimmer come from the times of the glottal pulses. The ratio is that of "To Harmonicity (cc)" with its
standard settings. Its definition is Boersma's (1993): a frame whose best normalised correlation is r holds a share r of
periodic energy, so that the ratio is 10 log10(r / (1 - r)). Praat offers two ways to r; its manual recommends the
forward cross-correlation of one period, used here, which suffers least from a pitch that moves ("To Harmonicity (ac)",
with windows of 4.5 periods, reads about 2 dB lower on running speech).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.framing import SAMPLE_RATE, Float
from dsp.shortterm import INTERPOLATION_DEPTH, LOWEST_PITCH, Grid, local_maxima, refine_peaks

SHORTEST_PERIOD = 0.0001  # seconds
LONGEST_PERIOD = 0.02  # seconds
LARGEST_PERIOD_FACTOR = 1.3  # neighbouring periods that differ more are not compared
LARGEST_AMPLITUDE_FACTOR = 1.6  # the same for amplitudes
REACH = 0.2  # periods on each side of a pulse where its amplitude is measured

Pulses = NDArray[np.float64]


def jitter(pulses: Pulses) -> float:
    """Local jitter: mean absolute difference of consecutive periods over the mean period.

    Args:
        pulses: Seconds, float64 [pulses], ascending.

    Returns:
        A ratio; 0 where no two neighbouring periods can be compared.
    """
    periods = np.diff(pulses)
    comparable = _comparable(periods)
    if not comparable.any():
        return 0.0
    differences = np.abs(np.diff(periods))[comparable]
    return float(differences.mean() / periods[_regular(periods)].mean())


def shimmer(samples: Float, pulses: Pulses) -> float:
    """Local shimmer: mean absolute difference of consecutive amplitudes over the mean amplitude.

    Args:
        samples: float32 [samples] at 16 kHz.
        pulses: Seconds, float64 [pulses], ascending.

    Returns:
        A ratio; 0 where no two neighbouring amplitudes can be compared.
    """
    times, amplitudes = _amplitudes(samples, pulses)
    if times.size < 2:
        return 0.0
    larger = np.maximum(amplitudes[1:], amplitudes[:-1])
    smaller = np.minimum(amplitudes[1:], amplitudes[:-1])
    comparable = _in_range(np.diff(times)) & (larger <= LARGEST_AMPLITUDE_FACTOR * smaller)
    if not comparable.any():
        return 0.0
    return float((larger - smaller)[comparable].mean() / amplitudes[:-1].mean())


def _in_range(periods: Pulses) -> NDArray[np.bool_]:
    """Which periods are neither too short nor too long."""
    return (periods >= SHORTEST_PERIOD) & (periods <= LONGEST_PERIOD)


def _comparable(periods: Pulses) -> NDArray[np.bool_]:
    """Which neighbouring periods are both in range and alike, bool [periods - 1]."""
    valid = _in_range(periods)
    larger, smaller = np.maximum(periods[1:], periods[:-1]), np.minimum(periods[1:], periods[:-1])
    return valid[1:] & valid[:-1] & (larger <= LARGEST_PERIOD_FACTOR * smaller)


def _regular(periods: Pulses) -> NDArray[np.bool_]:
    """Which periods are in range and not unlike all of their neighbours, bool [periods]."""
    larger, smaller = np.maximum(periods[1:], periods[:-1]), np.minimum(periods[1:], periods[:-1])
    unlike = larger > LARGEST_PERIOD_FACTOR * smaller
    return _in_range(periods) & ~(np.append(unlike, False) & np.insert(unlike, 0, False))


def _amplitudes(samples: Float, pulses: Pulses) -> tuple[Pulses, Pulses]:
    """Times and amplitudes of the pulses between two comparable periods.

    An amplitude is the root mean square of the signal under a Hann window that reaches 0.2 periods to either side.
    """
    periods = np.diff(pulses)
    kept = np.flatnonzero(_comparable(periods))
    times = pulses[kept + 1]
    if times.size == 0:
        return times, times
    left, right = REACH * periods[kept], REACH * periods[kept + 1]
    width = int(np.ceil(REACH * LONGEST_PERIOD * SAMPLE_RATE)) + 1
    index = np.round(times * SAMPLE_RATE - 0.5).astype(np.intp)[:, None] + np.arange(-width, width + 1)
    offset = (index + 0.5) / SAMPLE_RATE - times[:, None]
    phase = offset / np.where(offset < 0, left[:, None], right[:, None])
    inside = (np.abs(phase) <= 1) & (index >= 0) & (index < samples.size)
    window = np.where(inside, 0.5 + 0.5 * np.cos(np.pi * phase), 0.0)
    values = samples[np.clip(index, 0, samples.size - 1)] * window
    total = np.square(window).sum(axis=1)
    amplitudes = np.sqrt(np.square(values).sum(axis=1) / np.maximum(total, np.finfo(np.float64).tiny))
    return times[amplitudes > 0], amplitudes[amplitudes > 0]


WINDOW_S = 1 / LOWEST_PITCH  # one of the longest periods: 13.3 ms
HALF = int(WINDOW_S * SAMPLE_RATE) // 2 - 1  # samples: 105
LENGTH = 2 * HALF  # samples compared at each lag
LONGEST_LAG = LENGTH  # samples
TRANSFORM = 512  # points: at least LENGTH plus the lags
SILENCE_THRESHOLD = 0.1  # share of the signal's peak
LOWEST_REST = 1e-10  # smallest share of noise: ratios end at 100 dB
REFINED = 2  # maxima of a frame that are looked at between samples


def harmonicity(samples: Float) -> NDArray[np.float64]:
    """Harmonics-to-noise ratio of every frame that is not silent.

    Args:
        samples: float32 [samples] at 16 kHz.

    Returns:
        dB, float64 [voiced frames], one frame each 10 ms.
    """
    grid = Grid.over(samples.size, 2 * WINDOW_S)
    peak = float(np.abs(samples - samples.mean()).max()) if samples.size else 0.0
    if grid.count == 0 or peak == 0:
        return np.zeros(0)
    means = grid.means(samples)
    around = np.abs(grid.pieces(samples, 1 - HALF, LENGTH) - means).max(axis=1)
    strength = _best_correlation(_correlate(samples, grid, means))
    silent = strength < np.maximum(0, 2 - np.minimum(1, around / peak) / SILENCE_THRESHOLD)
    periodic = np.clip(strength[~silent & (strength > 0)].astype(np.float64), LOWEST_REST, 1 - LOWEST_REST)
    ratio: NDArray[np.float64] = 10 * np.log10(periodic / (1 - periodic))
    return ratio


def _correlate(samples: Float, grid: Grid, means: Float) -> Float:
    """Normalised forward cross-correlation of every frame, float32 [frames, lags]."""
    lags = LONGEST_LAG + INTERPOLATION_DEPTH + 1
    start = int(np.floor(grid.first * SAMPLE_RATE - WINDOW_S * SAMPLE_RATE - 0.5 + 1e-9)) - grid.before
    pieces = grid.pieces(samples, start, LENGTH + lags) - means
    first = np.fft.rfft(pieces[:, :LENGTH], TRANSFORM, axis=1)
    product = np.fft.irfft(np.conj(first) * np.fft.rfft(pieces, TRANSFORM, axis=1), TRANSFORM, axis=1)[:, :lags]
    sums = np.cumsum(np.square(pieces), axis=1, dtype=np.float64)
    energy = np.concatenate([sums[:, LENGTH - 1 : LENGTH], sums[:, LENGTH:] - sums[:, :-LENGTH]], axis=1)[:, :lags]
    norm = np.sqrt(np.maximum(energy[:, :1] * energy, 0))
    result: Float = (product / np.where(norm > np.finfo(np.float32).tiny, norm, np.inf)).astype(np.float32)
    return result


def _best_correlation(correlation: Float) -> Float:
    """Height of the highest maximum of each frame, between samples; 0 where there is none, float32 [frames]."""
    found = local_maxima(correlation, LONGEST_LAG, 0.0)
    rows = np.arange(correlation.shape[0])
    heights = np.where(found, correlation[:, : found.shape[1]], -np.inf)
    best = np.zeros(rows.size, np.float32)
    for _ in range(REFINED):
        lag = heights.argmax(axis=1)
        kept = heights[rows, lag] > 0
        refined = refine_peaks(correlation, rows[kept], lag[kept])[1]
        best[kept] = np.maximum(best[kept], refined)
        heights[rows, lag] = -np.inf
    return best
