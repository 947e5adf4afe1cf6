"""Frames and the one short-time spectrum that all spectral measures share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.mel import window

Float = NDArray[np.float32]

SAMPLE_RATE = 16_000  # Hz; every measure of this package is defined at this rate
WINDOW = 1024  # samples: 64 ms
HOP = 256  # samples: 16 ms
BINS = WINDOW // 2 + 1  # frequencies 0, 15.625, ... 8000 Hz


def centred(samples: Float, mode: str = "constant") -> Float:
    """Pads by half a window on both sides, so that frame ``i`` is centred on sample ``i * HOP``.

    Args:
        samples: float32 [samples].
        mode: ``constant`` (zeros) or ``edge``, as ``numpy.pad`` has them.

    Returns:
        float32 [samples + WINDOW].
    """
    half = WINDOW // 2
    edges = (samples[0], samples[-1]) if mode == "edge" else (0.0, 0.0)
    return np.concatenate(
        [np.full(half, edges[0], np.float32), samples, np.full(half, edges[1], np.float32)], dtype=np.float32
    )


def spectrum(samples: Float) -> NDArray[np.complex64]:
    """Short-time Fourier transform: Hann window, centred frames, zeros beyond the ends (librosa's convention).

    Args:
        samples: float32 [samples], at least one.

    Returns:
        complex64 [1 + samples // HOP, BINS].
    """
    pieces = np.lib.stride_tricks.sliding_window_view(centred(samples), WINDOW)[::HOP]
    result: NDArray[np.complex64] = np.fft.rfft(pieces * window(WINDOW), axis=1).astype(np.complex64, copy=False)
    return result


def frequencies() -> Float:
    """Centre frequency of each bin of ``spectrum`` in Hz, float32 [BINS]."""
    return np.linspace(0, SAMPLE_RATE / 2, BINS, dtype=np.float32)


def fit_duration(samples: Float, min_s: float, max_s: float) -> Float:
    """Cuts a signal that is too long, pads one that is too short with zeros at its end.

    Args:
        samples: float32 [samples] at ``SAMPLE_RATE``.
        min_s: Shortest result (seconds).
        max_s: Longest result (seconds).

    Returns:
        float32, between ``min_s`` and ``max_s`` long.
    """
    kept = samples[: round(max_s * SAMPLE_RATE)]
    return np.pad(kept, (0, max(0, round(min_s * SAMPLE_RATE) - kept.size)))
