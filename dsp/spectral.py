"""Measures of the short-time spectrum, frame by frame, with librosa's definitions where librosa has one.

The shape of the magnitudes, mel-frequency cepstral coefficients, and how steadily the phases advance.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsp.framing import BINS, SAMPLE_RATE, WINDOW, Float, frequencies
from dsp.mel import filter_bank

ROLLOFF_SHARE = 0.85  # share of a frame's magnitude below the roll-off frequency
POWER_FLOOR = 1e-10  # smallest power that a logarithm sees (-100 dB)
CONTRAST_LOWEST = 200.0  # Hz: upper end of the first contrast band; each next band is one octave
CONTRAST_BANDS = 5  # 0-200, 200-400, ... 1600-3200 Hz; a sixth band holds the rest up to 8 kHz
CONTRAST_SHARE = 0.02  # share of a band's bins taken as its peaks, and as its valleys
HIGHEST_DB_RANGE = 80.0  # dB: anything further below the loudest value of a clip is raised to that


def decibels(power: Float) -> Float:
    """Power in dB re 1, at most ``HIGHEST_DB_RANGE`` below the largest value.

    Args:
        power: float32, any shape, not negative.

    Returns:
        float32, same shape.
    """
    level = 10 * np.log10(np.maximum(power, np.float32(POWER_FLOOR)))
    result: Float = np.maximum(level, level.max() - np.float32(HIGHEST_DB_RANGE))
    return result


def distribution(magnitude: Float) -> Float:
    """Each frame divided by its sum; a frame of zeros stays zeros.

    Args:
        magnitude: float32 [frames, bins].

    Returns:
        float32 [frames, bins], rows summing to 1 or 0.
    """
    total = magnitude.sum(axis=1, keepdims=True)
    return np.asarray(magnitude / np.where(total > np.finfo(np.float32).tiny, total, 1), np.float32)


def centroid_and_bandwidth(share: Float) -> tuple[Float, Float]:
    """Mean and standard deviation of frequency under the normalised magnitude.

    Args:
        share: float32 [frames, BINS], from ``distribution``.

    Returns:
        Two arrays in Hz, float32 [frames]; 0 for frames of zeros.
    """
    hertz = frequencies()
    centroid = share @ hertz
    second = share @ (hertz * hertz) - centroid * centroid
    # E[f^2] - E[f]^2 is as good as the direct form here: bandwidths are above 1 % of the centroid or truly 0
    return centroid, np.sqrt(np.maximum(second, 0))


def rolloff(share: Float) -> Float:
    """Lowest frequency below which 85 % of a frame's magnitude lies.

    Args:
        share: float32 [frames, BINS], from ``distribution``.

    Returns:
        Hz, float32 [frames]; 0 for frames of zeros.
    """
    cumulative = np.cumsum(share, axis=1)
    reached: Float = frequencies()[np.argmax(cumulative >= ROLLOFF_SHARE * cumulative[:, -1:], axis=1)]
    return reached


def flatness(power: Float) -> Float:
    """Geometric mean over arithmetic mean of the power spectrum.

    Args:
        power: float32 [frames, bins].

    Returns:
        float32 [frames], 0 (a line) to 1 (white, or silent).
    """
    floored = np.maximum(power, np.float32(POWER_FLOOR))
    ratio: Float = np.exp(np.log(floored).mean(axis=1)) / floored.mean(axis=1)
    return np.minimum(ratio, np.float32(1.0))  # rounding can lift the flat spectrum of a click above it


def _band_slices() -> list[tuple[slice, int]]:
    """Bins of each contrast band and how many of them count as peaks, as librosa cuts them."""
    edges = np.concatenate([[0.0], CONTRAST_LOWEST * 2.0 ** np.arange(CONTRAST_BANDS + 1)])
    hertz = np.arange(BINS) * (SAMPLE_RATE / WINDOW)
    slices = []
    for band in range(CONTRAST_BANDS + 1):
        inside = np.flatnonzero((hertz >= edges[band]) & (hertz <= edges[band + 1]))
        first = inside[0] - (band > 0)  # bands above the first take one more bin below
        last = BINS - 1 if band == CONTRAST_BANDS else inside[-1]
        count = max(int(np.rint(CONTRAST_SHARE * (last - first + 1))), 1)
        slices.append((slice(int(first), int(last) + (band == CONTRAST_BANDS)), count))
    return slices


def contrast(magnitude: Float) -> Float:
    """Level difference between the peaks and the valleys of each octave band (Jiang et al. 2002).

    Args:
        magnitude: float32 [frames, BINS].

    Returns:
        dB, float32 [frames, 6].
    """
    peaks, valleys = [], []
    for bins, count in _BANDS:
        ordered = np.sort(magnitude[:, bins], axis=1)
        valleys.append(ordered[:, :count].mean(axis=1))
        peaks.append(ordered[:, -count:].mean(axis=1))
    return decibels(np.stack(peaks, axis=1)) - decibels(np.stack(valleys, axis=1))


_BANDS = _band_slices()


def flux(share: Float) -> Float:
    """How much of the normalised magnitude moves upwards from one frame to the next.

    Args:
        share: float32 [frames, bins], from ``distribution``.

    Returns:
        float32 [frames - 1], 0 (steady) to 1 (no bin in common).
    """
    rise: Float = np.maximum(np.diff(share, axis=0), 0).sum(axis=1)
    return rise


def column_statistics(values: Float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over frames.

    Args:
        values: float32 [frames, n].

    Returns:
        Two float64 [n].
    """
    wide = values.astype(np.float64)
    return wide.mean(axis=0), wide.std(axis=0)


BANDS = 128  # mel bands from 0 to 8 kHz
COEFFICIENTS = 13  # the first is the mean level


def log_mel(power: Float) -> Float:
    """Mel spectrogram in dB, at most 80 dB below its loudest value.

    Args:
        power: float32 [frames, WINDOW // 2 + 1].

    Returns:
        dB, float32 [frames, BANDS].
    """
    return decibels(np.asarray(power @ filter_bank(SAMPLE_RATE, WINDOW, BANDS, 0.0, SAMPLE_RATE / 2), np.float32))


@lru_cache(maxsize=1)
def cosine_basis() -> Float:
    """Orthonormal DCT-II, float32 [BANDS, COEFFICIENTS]."""
    angle = np.pi * np.outer(np.arange(BANDS) + 0.5, np.arange(COEFFICIENTS)) / BANDS
    basis = np.sqrt(2 / BANDS) * np.cos(angle)
    basis[:, 0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


def mfcc(log_mel_db: Float) -> Float:
    """Cepstral coefficients.

    Args:
        log_mel_db: dB, float32 [frames, BANDS].

    Returns:
        float32 [frames, COEFFICIENTS].
    """
    return np.asarray(log_mel_db @ cosine_basis(), np.float32)


def phase_coherence(spectrum: NDArray[np.complex64]) -> float:
    """Mean resultant length of the deviation of the phase advance, weighted by energy.

    The phase of a steady sinusoid advances by the same angle from frame to frame. The deviation here is the advance
    into the next frame less the advance into this one (Bello et al., "On the use of phase and energy for musical onset
    detection", 2004), so that it is 0 for a steady sinusoid of any frequency. Each deviation is a unit vector, weighted
    by the energy of its bin and frame; the length of their mean is 1 when all agree, and falls as they scatter: white
    noise still has 0.63, because neighbouring frames share three quarters of their samples.

    Args:
        spectrum: complex64 [frames, bins].

    Returns:
        0 to 1; 0 for silence and for fewer than three frames.
    """
    if spectrum.shape[0] < 3:
        return 0.0
    energy = np.square(spectrum.real) + np.square(spectrum.imag)
    energy *= energy > np.finfo(np.float32).tiny * 1e8  # below this the direction is rounding
    unit = spectrum / np.sqrt(np.where(energy > 0, energy, np.inf))
    steady = np.conj(unit[1:-1])
    np.square(steady, out=steady)
    steady *= unit[2:]
    steady *= unit[:-2]
    weight = energy[1:-1]
    total = float(weight.sum(dtype=np.float64))
    return min(1.0, float(np.abs((steady * weight).sum(dtype=np.complex128))) / total) if total > 0 else 0.0
