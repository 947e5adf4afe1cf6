"""Tempo from the autocorrelation of the onset envelope, as librosa estimates it.

Ellis, "Beat tracking by dynamic programming", 2007; Grosche, Müller and Kurth, "Cyclic tempogram", 2010.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.framing import HOP, SAMPLE_RATE, WINDOW, Float
from dsp.mel import window

FRAMES_PER_MINUTE = 60 * SAMPLE_RATE / HOP
SPAN = 8 * SAMPLE_RATE // HOP  # frames: 8 s of envelope are autocorrelated at a time
TRANSFORM = 1024  # points: no less than 2 SPAN, so that no lag wraps around
TYPICAL_BPM = 120.0  # centre of the log-normal prior, one octave wide
HIGHEST_BPM = 320.0
SHARPENING = 1e6  # librosa's factor inside log(1 + .), which lets strong periodicities outweigh the prior


def onset_envelope(log_mel_db: Float) -> Float:
    """Mean rise of the mel bands, each value at the time where the rise is heard.

    Args:
        log_mel_db: dB, float32 [frames, bands].

    Returns:
        float32 [frames].
    """
    rise = np.maximum(np.diff(log_mel_db, axis=0), 0).mean(axis=1)
    delay = 1 + WINDOW // (2 * HOP)  # one frame for the difference, half a window for the framing
    return np.concatenate([np.zeros(delay, np.float32), rise])[: log_mel_db.shape[0]]


def _mean_tempogram(envelope: Float) -> Float:
    """Autocorrelation of the windowed envelope around every frame, each scaled to a peak of 1, averaged.

    Args:
        envelope: float32 [frames].

    Returns:
        float32 [SPAN], by lag in frames.
    """
    half = SPAN // 2
    padded = np.pad(envelope, half, mode="linear_ramp", end_values=0)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, SPAN)[: envelope.size] * window(SPAN)
    transform = np.fft.rfft(pieces, TRANSFORM, axis=1)
    power = np.square(transform.real) + np.square(transform.imag)
    energy = np.square(pieces).sum(axis=1)  # the value at lag 0, which is the largest
    power /= np.where(energy > np.finfo(np.float32).tiny, energy, 1)[:, None]
    # the mean of the transforms is the transform of the mean: one inverse is enough
    return np.fft.irfft(power.mean(axis=0), TRANSFORM)[:SPAN].astype(np.float32)


def tempo(envelope: Float) -> float:
    """Global tempo.

    Args:
        envelope: Onset envelope, float32 [frames].

    Returns:
        Beats per minute; 0 where nothing ever starts.
    """
    if not envelope.any():
        return 0.0
    lags = np.arange(1, SPAN)
    bpm: NDArray[np.float64] = FRAMES_PER_MINUTE / lags
    prior = -0.5 * np.log2(bpm / TYPICAL_BPM) ** 2
    score = np.log1p(SHARPENING * np.maximum(_mean_tempogram(envelope)[1:], 0)) + prior
    score[bpm >= HIGHEST_BPM] = -np.inf
    return float(bpm[np.argmax(score)])
