"""Jitter and shimmer by Praat's definitions, from the times of the glottal pulses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.framing import SAMPLE_RATE, Float

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
