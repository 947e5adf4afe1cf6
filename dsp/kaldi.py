"""Log-mel filter bank energies as Kaldi defines them: the front end of the Audio Spectrogram Transformer.

The numbers are those of ``transformers.ASTFeatureExtractor`` (Kaldi's ``compute-fbank-feats`` with a Hann window and
samples in [-1, 1]), computed in float32 with NumPy alone, one clip at a time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

SAMPLE_RATE = 16_000  # Hz
FRAME = 400  # samples: 25 ms
HOP = 160  # samples: 10 ms
FFT = 512  # samples: FRAME to the next power of two
BINS = FFT // 2  # Kaldi leaves the Nyquist bin out
LOW_HZ = 20.0  # lower edge of the first filter; the upper edge of the last is half the sample rate
PREEMPHASIS = 0.97
FLOOR = np.float32(np.finfo(np.float32).eps)  # smallest energy before the logarithm: about -92 dBFS of white noise


def samples_for(count: int) -> int:
    """Fewest samples that make so many frames."""
    return FRAME + (count - 1) * HOP


def log_mel(audio: Float, mel_bins: int) -> Float:
    """Log energies of the Kaldi mel filter bank.

    Args:
        audio: float32 [samples], 16 kHz, in [-1, 1].
        mel_bins: Number of filters.

    Returns:
        float32 [frames, mel_bins], natural logarithm of the energy; no frames for less than 25 ms.
    """
    if len(audio) < FRAME:
        return np.zeros((0, mel_bins), np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(audio, FRAME)[::HOP]
    centred = pieces - pieces.mean(axis=1, keepdims=True, dtype=np.float32)
    emphasised = np.empty_like(centred)
    emphasised[:, 1:] = centred[:, 1:] - np.float32(PREEMPHASIS) * centred[:, :-1]
    emphasised[:, 0] = centred[:, 0] * np.float32(1 - PREEMPHASIS)
    spectrum = np.fft.rfft(emphasised * _window(), FFT, axis=1)[:, :BINS]
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    energies: Float = power.astype(np.float32, copy=False) @ filter_bank(mel_bins)
    return np.log(np.maximum(energies, FLOOR))


@lru_cache(maxsize=8)
def filter_bank(mel_bins: int) -> Float:
    """Triangles that are straight in mel, each rising from the centre of its neighbour.

    Args:
        mel_bins: Number of filters.

    Returns:
        float32 [BINS, mel_bins].
    """
    edges = np.linspace(_mel(LOW_HZ), _mel(SAMPLE_RATE / 2), mel_bins + 2)
    centres = _mel(np.arange(BINS) * SAMPLE_RATE / FFT)[:, None]
    rising = (centres - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - centres) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Kaldi's mel scale: 1127 ln(1 + f / 700 Hz)."""
    return 1127.0 * np.log1p(np.asarray(hertz, dtype=np.float64) / 700.0)


@lru_cache(maxsize=1)
def _window() -> Float:
    """Symmetric Hann window, float32 [FRAME]."""
    return np.hanning(FRAME).astype(np.float32)
