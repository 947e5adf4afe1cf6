"""Mel-frequency cepstral coefficients of a power spectrogram, as librosa defines them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dsp.framing import SAMPLE_RATE, WINDOW, Float
from dsp.mel import filter_bank
from dsp.spectral import decibels

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
