"""A recording's beats in numbers: band statistics, and the rhythm of three loudness curves.

Everything is relative to the recording's own level. Input is the mel power at 100 frames a second and 32 bands up to
800 Hz (``models.heart_sound.processing``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Wave = NDArray[np.float64]

RATE = 100  # frames per second
COARSE = 8  # bands of four mel bands each
PERCENTILES = (5, 25, 50, 75, 95, 99)
CURVES = ((0, 8), (8, 20), (20, 32))  # mel bands of the three loudness curves: heart tones, low and high murmurs
LAGS = 220  # frames: 2.2 s of autocorrelation
BEAT = (30, 200)  # frames: 0.3 to 2 s
LOOKS = (5, 10, 20, 30)  # frames: autocorrelation at fixed lags
MODULATION = (0.4, 0.9, 1.5, 2.2, 3.0, 4.0, 6.0, 9.0, 14.0, 25.0)  # Hz: edges of the curve's own spectrum
FFT = 4096  # frames, for it
RHYTHM = 6 + len(LOOKS) + len(MODULATION) - 1 + 7
SIZE = COARSE * (len(PERCENTILES) + 6) + len(CURVES) * RHYTHM
TINY = 1e-7


def summarise(power: Float) -> Float:
    """All statistics of one recording.

    Args:
        power: float32 [frames, 32], mel power of a recording at unit RMS, at least 30 frames.

    Returns:
        float32 [SIZE].
    """
    rhythms = [_rhythm(_curve(power[:, low:high])) for low, high in CURVES]
    return np.nan_to_num(np.concatenate((_bands(power), *rhythms))).astype(np.float32)


def _bands(power: Float) -> Wave:
    """Level, spread, movement and skewness of eight coarse bands, and loud against quiet moments."""
    coarse = 10 * np.log10(power.reshape(len(power), COARSE, -1).sum(axis=2, dtype=np.float64) + TINY)
    mean, total = coarse.mean(axis=0), power.sum(axis=1)
    loud = coarse[total >= np.percentile(total, 90)].mean(axis=0)
    quiet = coarse[total <= np.percentile(total, 40)].mean(axis=0)
    skew = ((coarse - mean) ** 3).mean(axis=0) / (coarse.std(axis=0) ** 3 + TINY)
    spread = (np.percentile(coarse, PERCENTILES, axis=0) - mean).ravel()
    movement = np.abs(np.diff(coarse, axis=0)).mean(axis=0)
    shapes = (mean - mean.mean(), loud - loud.mean(), quiet - quiet.mean(), loud - quiet)
    return np.concatenate((*shapes, spread, movement, skew))


def _curve(power: Float) -> Wave:
    """Loudness over time in dB, smoothed over 90 ms."""
    loudness = 10 * np.log10(power.sum(axis=1, dtype=np.float64) + TINY)
    kernel = np.hanning(11)[1:-1]
    return np.asarray(np.convolve(loudness, kernel / kernel.sum(), "same"), np.float64)


def _rhythm(curve: Wave) -> Wave:
    """How regularly one loudness curve repeats, and its peaks."""
    return np.concatenate((_repetition(curve), _modulation(curve), _peaks(curve)))


def _repetition(curve: Wave) -> Wave:
    """The autocorrelation: best beat, its half and double, depth between, spread, and fixed lags."""
    centred = curve - curve.mean()
    spectrum = np.fft.rfft(centred, 2 * len(curve))
    raw = np.fft.irfft(np.square(np.abs(spectrum)))[: len(curve)] / np.arange(len(curve), 0, -1)
    correlation = np.zeros(LAGS)
    usable = min(LAGS, 2 * len(curve) // 3)
    correlation[:usable] = raw[:usable] / max(raw[0], TINY)
    beats = correlation[slice(*BEAT)]
    best = BEAT[0] + int(beats.argmax())
    shape = (correlation[best], best / RATE, correlation[best // 2], correlation[min(2 * best, LAGS - 1)])
    return np.array([*shape, correlation[10:60].min(), beats.std(), *correlation[list(LOOKS)]])


def _modulation(curve: Wave) -> Wave:
    """Log share of the curve's movement in each modulation band."""
    curve = curve[:FFT]  # 41 s: more than a window of the model
    spectrum = np.square(np.abs(np.fft.rfft((curve - curve.mean()) * np.hanning(len(curve)), FFT)))
    edges = np.searchsorted(np.fft.rfftfreq(FFT, 1 / RATE), MODULATION)
    energy = np.add.reduceat(spectrum, edges[:-1])[: len(MODULATION) - 1]
    return np.asarray(np.log(energy / max(energy.sum(), TINY) + 1e-4), np.float64)


def _peaks(curve: Wave) -> Wave:
    """Rate, distances and spread of the peaks above half of the curve's range."""
    middle, top = np.percentile(curve, (50, 97))
    reach = 8  # frames: a peak is the largest within 80 ms on either side
    around = np.lib.stride_tricks.sliding_window_view(np.pad(curve, reach, mode="edge"), 2 * reach + 1).max(axis=1)
    places = np.flatnonzero((curve == around) & (curve > (middle + top) / 2))
    if len(places) < 3:
        return np.zeros(7)
    gaps = np.diff(places) / RATE
    distances = (np.median(gaps), gaps.std(), *np.percentile(gaps, (10, 90)), gaps.max())
    return np.array([len(places) * RATE / len(curve), *distances, curve[places].std()])
