"""Mel spectrograms as librosa defines them, in float32 with NumPy alone.

Slaney's mel scale and area-normalised triangles (librosa's defaults); a periodic Hann window; frames either centred on
multiples of the hop with zeros around the clip (librosa's ``center=True``), or only whole ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

# Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, then logarithmic with 27 steps for a factor of 6.4.
LINEAR_STEP = 200.0 / 3  # Hz per mel below the break
BREAK_HZ = 1000.0
BREAK_MEL = BREAK_HZ / LINEAR_STEP
LOG_STEP = np.log(6.4) / 27.0  # natural logarithm of the frequency ratio of one mel above the break


@dataclass(frozen=True, slots=True)
class MelConfig:
    """One mel spectrogram.

    Attributes:
        sample_rate: Hz.
        fft: Length of the transform and of a frame (samples).
        hop: Step between frames (samples).
        bands: Number of filters.
        low_hz: Lower edge of the first filter (Hz).
        high_hz: Upper edge of the last filter (Hz).
        centre: Whether half a frame of zeros surrounds the clip.
        window: Length of the window in the middle of the frame (samples); 0 is the whole frame.
    """

    sample_rate: int
    fft: int
    hop: int
    bands: int
    low_hz: float
    high_hz: float
    centre: bool = True
    window: int = 0


def power(audio: Float, fft: int, hop: int, *, centre: bool = True, length: int = 0) -> Float:
    """Power spectrogram.

    Args:
        audio: float32 [samples].
        fft: Length of the transform and of a frame (samples).
        hop: Step between frames (samples).
        centre: Whether half a frame of zeros surrounds the clip.
        length: Of the window in the middle of the frame (samples); 0 is the whole frame.

    Returns:
        float32 [frames, fft // 2 + 1].
    """
    if centre:
        audio = np.pad(audio, fft // 2)
    if len(audio) < fft:
        return np.zeros((0, fft // 2 + 1), np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(audio, fft)[::hop]
    spectrum = np.fft.rfft(pieces * _placed(fft, length or fft), axis=1)
    result: Float = (np.square(spectrum.real) + np.square(spectrum.imag)).astype(np.float32, copy=False)
    return result


def mel_power(audio: Float, config: MelConfig) -> Float:
    """Mel power spectrogram.

    Args:
        audio: float32 [samples].
        config: Framing and bands.

    Returns:
        float32 [frames, bands].
    """
    bank = filter_bank(config.sample_rate, config.fft, config.bands, config.low_hz, config.high_hz)
    result: Float = power(audio, config.fft, config.hop, centre=config.centre, length=config.window) @ bank
    return result


def log_mel(audio: Float, config: MelConfig, floor: float = 1e-10) -> Float:
    """Mel spectrogram in decibels.

    Args:
        audio: float32 [samples].
        config: Framing and bands.
        floor: Smallest power before the logarithm.

    Returns:
        float32 [frames, bands], 10 log10 of the power (dB).
    """
    result: Float = np.float32(10) * np.log10(np.maximum(mel_power(audio, config), np.float32(floor)))
    return result


@lru_cache(maxsize=16)
def filter_bank(sample_rate: int, fft: int, bands: int, low_hz: float, high_hz: float) -> Float:
    """Area-normalised mel filters (``librosa.filters.mel``, transposed).

    Args:
        sample_rate: Hz.
        fft: Length of the transform (samples).
        bands: Number of filters.
        low_hz: Lower edge of the first filter (Hz).
        high_hz: Upper edge of the last filter (Hz).

    Returns:
        float32 [fft // 2 + 1, bands].
    """
    edges = mel_to_hertz(np.linspace(hertz_to_mel(low_hz), hertz_to_mel(high_hz), bands + 2))
    centres = np.fft.rfftfreq(fft, 1.0 / sample_rate)[:, None]
    rising = (centres - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - centres) / (edges[2:] - edges[1:-1])
    area = 2.0 / (edges[2:] - edges[:-2])
    return (np.maximum(0, np.minimum(rising, falling)) * area).astype(np.float32)


def hertz_to_mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel for a frequency in hertz."""
    f = np.asarray(hertz, dtype=np.float64)
    above = BREAK_MEL + np.log(np.maximum(f, BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return np.where(f < BREAK_HZ, f / LINEAR_STEP, above)


def mel_to_hertz(mel: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequency in hertz for Slaney's mel."""
    m = np.asarray(mel, dtype=np.float64)
    return np.where(m < BREAK_MEL, m * LINEAR_STEP, BREAK_HZ * np.exp(LOG_STEP * (m - BREAK_MEL)))


@lru_cache(maxsize=8)
def window(length: int) -> Float:
    """Periodic Hann window, float32 [length]."""
    return np.hanning(length + 1)[:-1].astype(np.float32)


@lru_cache(maxsize=8)
def _placed(frame: int, length: int) -> Float:
    """The window in the middle of a frame, float32 [frame]."""
    before = (frame - length) // 2
    return np.pad(window(length), (before, frame - length - before))
