"""Speech made again from what is measured of it, as a vocoder does: ``copied(...)``.

Such a copy says the same words in much the same voice, and yet no person spoke it. There are two ways, both cheap:
Griffin-Lim from a mel spectrogram, which loses the phase, and linear prediction, which loses the shape of the pulses.
"""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
from librosa.filters import mel
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from training.fitting.augment import Audio

Way = Callable[[Audio, np.random.Generator], Audio]

RATE = 16_000  # Hz
FFT_SIZES = (512, 1_024)  # samples, of the mel spectrogram
BANDS = (40, 64, 80, 100)
ITERATIONS = 32  # of Griffin-Lim
ORDERS = (16, 18, 20, 24)  # of linear prediction
HOP, WINDOW = 160, 800  # samples (10 and 50 ms): more than three periods of the lowest voice
PITCH_HZ = (70.0, 400.0)
VOICED = 0.5  # a frame is voiced whose autocorrelation reaches this at its period
WHITENING = 1e-4  # added to the energy of a frame (-40 dB), so that quiet frames have a stable filter
LOUDEST = 10.0  # a frame whose filter rings above this is left silent


def copied(audio: Audio, rng: np.random.Generator) -> Audio:
    """A copy of speech, by one of the two ways.

    Args:
        audio: float32 [samples] at ``RATE``, at least ``WINDOW`` of them.
        rng: Decides the way and its settings.

    Returns:
        float32 [samples] of the same length.
    """
    way = griffin_lim if rng.random() < 0.5 else linear_prediction
    return way(audio, rng)


def griffin_lim(audio: Audio, rng: np.random.Generator) -> Audio:
    """A copy by Griffin and Lim (1984), from a mel spectrogram whose bands are spread out again."""
    size, bands = int(rng.choice(FFT_SIZES)), int(rng.choice(BANDS))
    matrix = mel(sr=RATE, n_fft=size, n_mels=bands)
    powers = np.abs(librosa.stft(audio, n_fft=size, hop_length=size // 4)) ** 2
    spread = np.maximum(np.linalg.pinv(matrix) @ (matrix @ powers), 1e-10)
    made = librosa.griffinlim(
        np.sqrt(spread),
        n_iter=ITERATIONS,
        n_fft=size,
        hop_length=size // 4,
        length=audio.size,
        random_state=int(rng.integers(2**31)),
    )
    return np.asarray(made, np.float32)


def linear_prediction(audio: Audio, rng: np.random.Generator) -> Audio:
    """A copy by an all-pole filter of each frame (Atal and Hanauer 1971), driven by pulses or by noise."""
    order = int(rng.choice(ORDERS))
    frames = _frames(audio)
    lags = _autocorrelation(frames)
    excitation = _excitation(lags, rng)
    made, state = np.zeros_like(excitation), np.zeros(order)
    for place, own in enumerate(lags):
        if own[0] < 1e-9:  # digital silence
            continue
        poles = solve_toeplitz(own[:order] + np.eye(1, order)[0] * own[0] * WHITENING, own[1 : order + 1])
        gain = np.sqrt(max(own[0] - poles @ own[1 : order + 1], 0.0))
        part, state = lfilter([1.0], np.append(1.0, -poles), gain * excitation[place], zi=state)
        if np.abs(part).max() > LOUDEST:
            part, state = np.zeros(HOP), np.zeros(order)
        made[place] = part
    return made.ravel()[: audio.size].astype(np.float32)


def _frames(audio: Audio) -> NDArray[np.float64]:
    """Windowed frames around each hop, float64 [hops, WINDOW]; a window has mean square 1."""
    padded = np.pad(audio.astype(np.float64), (WINDOW // 2, WINDOW))
    window = np.hanning(WINDOW)
    places = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: audio.size : HOP]
    return np.asarray(places * (window / np.sqrt(np.mean(window**2))))


def _autocorrelation(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each frame, for a sample of it, float64 [hops, WINDOW]."""
    powers = np.abs(np.fft.rfft(frames, 2 * WINDOW, axis=1)) ** 2
    return np.asarray(np.fft.irfft(powers, axis=1)[:, :WINDOW] / WINDOW)


def _excitation(lags: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Pulses at the pitch where a frame is voiced, noise elsewhere, of power 1; float64 [hops, HOP].

    The window tapers the autocorrelation, long periods most: it is divided by the window's own (Boersma 1993).
    """
    shortest, longest = (int(RATE / hz) for hz in reversed(PITCH_HZ))
    window = np.correlate(np.hanning(WINDOW), np.hanning(WINDOW), "full")[WINDOW - 1 :]
    taper = window[shortest : longest + 1] / window[0]
    part = lags[:, shortest : longest + 1] / np.maximum(lags[:, :1], 1e-12) / taper
    periods = shortest + part.argmax(axis=1)
    voiced = part.max(axis=1) > VOICED
    driven = rng.standard_normal((len(lags), HOP))
    due = 0  # samples from the start of the frame to the next pulse
    for place in np.flatnonzero(voiced):
        due = due if place and voiced[place - 1] else 0
        driven[place] = 0.0
        while due < HOP:
            driven[place, due] = np.sqrt(periods[place])
            due += int(periods[place])
        due -= HOP
    return driven
