"""Glottal pulses as Praat's "To PointProcess (cc)" places them.

From the loudest sample in the middle of each voiced stretch the search goes left and right, each time to the place, 0.8
to 1.25 periods away, where one period of signal correlates best with the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.framing import SAMPLE_RATE, Float
from dsp.pitch import PitchTrack

NEAREST, FARTHEST = 0.8, 1.25  # periods: where the next pulse is looked for
LOWEST_CORRELATION = 0.3  # inside a voiced stretch
EDGE_CORRELATION = 0.7  # for the pulse that passes the stretch's end
LOWEST_PEAK, EDGE_PEAK = 0.01, 0.023333  # share of the signal's peak
MARGIN = 1024  # samples of zeros around the signal, so that no search passes its ends


@dataclass(frozen=True, slots=True)
class _Match:
    """Best place of the next pulse: its time (seconds), its correlation and the peak of the signal there."""

    time: float
    correlation: float
    peak: float


class _Signal:
    """A signal prepared for many short correlations."""

    def __init__(self, samples: Float) -> None:
        self.values = np.pad(samples, MARGIN).astype(np.float64)
        self.magnitude = np.abs(self.values)
        self.energy = np.concatenate([[0.0], np.cumsum(np.square(self.values))])
        self.peak = float(self.magnitude.max())

    def match(self, time: float, period: float, nearest: float, farthest: float) -> _Match | None:
        """Where, between two times, one period of signal is most like the one around ``time``."""
        at, half = time * SAMPLE_RATE - 0.5 + MARGIN, 0.5 * period * SAMPLE_RATE
        start, stop = round(at - half), round(at + half) + 1
        low = int(np.floor(nearest * SAMPLE_RATE - 0.5 + MARGIN - half))
        high = int(np.ceil(farthest * SAMPLE_RATE - 0.5 + MARGIN - half)) + 1
        length = stop - start
        if low < 0 or high + length > self.values.size or start < 0 or stop > self.values.size:
            return None
        product = np.correlate(self.values[low : high + length - 1], self.values[start:stop], "valid")
        energy = self.energy[low + length : high + length] - self.energy[low:high]
        norm = np.sqrt(np.maximum(energy * (self.energy[stop] - self.energy[start]), 1e-30))
        return self._best(product / norm, time, low - start, low, length)

    def _best(self, correlation: NDArray[np.float64], time: float, shift: int, low: int, length: int) -> _Match | None:
        """The highest local maximum, moved between samples by a parabola."""
        padded = np.concatenate([[0.0, 0.0], correlation])  # Praat's search starts from two zeros
        before, inner, after = padded[:-2], padded[1:-1], padded[2:]
        candidates = np.where((inner >= before) & (inner >= after), inner, -np.inf)
        place = int(candidates.argmax())
        height = float(candidates[place])
        if height <= -1:
            return None
        left, right, best = float(before[place]), float(after[place]), max(place - 1, 0)
        curve, slope = 2 * height - left - right, 0.5 * (right - left)
        move = slope / curve if curve != 0 else 0.0
        peak = float(self.magnitude[low + best : low + best + length].max())
        return _Match(time + (shift + place - 1 + move) / SAMPLE_RATE, height + 0.5 * slope * move, peak)

    def loudest(self, start: float, stop: float) -> float:
        """Time of the largest magnitude between two times, moved between samples by a parabola."""
        low = int(np.floor(start * SAMPLE_RATE - 0.5)) + MARGIN
        high = int(np.ceil(stop * SAMPLE_RATE - 0.5)) + MARGIN
        piece = self.magnitude[max(low, 0) : high + 1]
        best = int(piece.argmax())
        move = 0.0
        if 0 < best < piece.size - 1:
            left, middle, right = (float(v) for v in piece[best - 1 : best + 2])
            curve = 2 * middle - left - right
            move = 0.5 * (right - left) / curve if curve > 0 else 0.0
        return (max(low, 0) + best + move - MARGIN + 0.5) / SAMPLE_RATE


def find(samples: Float, pitch: PitchTrack) -> NDArray[np.float64]:
    """Times of the glottal pulses.

    Args:
        samples: float32 [samples] at 16 kHz.
        pitch: The fundamental frequency of the same signal.

    Returns:
        Seconds, float64 [pulses], ascending.
    """
    signal = _Signal(samples)
    points: list[float] = []
    last_right = -np.inf
    for first, last in voiced_stretches(pitch):
        start = pitch.first + (first - 0.5) * pitch.step
        stop = pitch.first + (last + 0.5) * pitch.step
        middle = 0.5 * (start + stop)
        hertz = _hertz_at(pitch, middle)
        if hertz is None:
            continue
        seed = signal.loudest(middle - 0.5 / hertz, middle + 0.5 / hertz)
        points += _walk(signal, pitch, seed, start, -1, last_right)
        points.append(seed)
        right = _walk(signal, pitch, seed, stop, 1, -np.inf)
        points += right
        last_right = right[-1] if right else last_right
    return np.unique(np.asarray(points))


def voiced_stretches(pitch: PitchTrack) -> list[tuple[int, int]]:
    """First and last frame of every run of voiced frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], pitch.hertz > 0, [0]])))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def _hertz_at(pitch: PitchTrack, time: float) -> float | None:
    """Fundamental frequency between frames; nothing where the nearest frame is unvoiced."""
    position = (time - pitch.first) / pitch.step
    left = int(position // 1)
    phase = position - left
    near, far, weight = (left, left + 1, phase) if phase < 0.5 else (left + 1, left, 1 - phase)
    if not 0 <= near < pitch.hertz.size or pitch.hertz[near] <= 0:
        return None
    value = float(pitch.hertz[near])
    if 0 <= far < pitch.hertz.size and pitch.hertz[far] > 0:
        value += weight * (float(pitch.hertz[far]) - value)
    return value


def _walk(signal: _Signal, pitch: PitchTrack, seed: float, end: float, direction: int, taken: float) -> list[float]:
    """Pulses from a seed to one end of a voiced stretch; ``taken`` is the last pulse of the stretch before."""
    points: list[float] = []
    time = seed
    while (hertz := _hertz_at(pitch, time)) is not None:
        reach = sorted((time + direction * NEAREST / hertz, time + direction * FARTHEST / hertz))
        match = signal.match(time, 1 / hertz, *reach)
        if match is None:
            break
        time = match.time
        passed = direction * (time - end) > 0
        strong, loud = (EDGE_CORRELATION, EDGE_PEAK) if passed else (LOWEST_CORRELATION, LOWEST_PEAK)
        if match.correlation > strong and match.peak > loud * signal.peak and time - taken > NEAREST / hertz:
            points.append(time)
        if passed:
            break
    return points
