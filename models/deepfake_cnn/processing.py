"""From speech to a 128-band mel spectrogram in decibels, whatever its level, its length and the silence around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp import mel
from models import processing
from models.processing import Features, Prepared, check_audio

SAMPLE_RATE = 16_000  # Hz
MIN_SAMPLES = SAMPLE_RATE  # 1 s; shorter clips are followed by zeros up to it
BANDS = 128
# 100 frames a second of 25 ms: short enough to blur most harmonics, which tell who speaks, not what made the speech.
MEL = mel.MelConfig(SAMPLE_RATE, fft=1024, hop=160, bands=BANDS, low_hz=0.0, high_hz=8_000.0, window=400)
FLOOR_DB = -60.0  # below the mean band power of loud frames: recorders' noise floors are no evidence
QUIET_DB = -35.0  # frames so far below the loud ones are left out: pauses and silence are no evidence
SCALE_DB = 20.0  # decibels for one unit of the network's input
MULTIPLE = 16  # frames; few different shapes for the engine to plan for


class CnnProcessor:
    """The processor of the spectrogram member."""

    def prepare(self, item: NDArray[np.float32]) -> Prepared:
        """Computes the spectrogram of one clip.

        Args:
            item: float32 [samples], 16 kHz, in [-1, 1].

        Returns:
            Features float32 [frames, BANDS], 100 frames a second without the quiet ones; each band has mean 0.

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        samples = check_audio(item)
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        return Prepared(centre(decibels(samples)))

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """``spectrogram`` float32 [batch, frames, BANDS] and ``mask`` float32 [batch, frames]."""
        spectrogram, mask = processing.pad(batch, MULTIPLE)
        return {"spectrogram": spectrogram, "mask": mask}


def decibels(samples: Features) -> Features:
    """Mel power of the frames that are not quiet, in dB relative to the loud ones, not below ``FLOOR_DB``.

    Loud is the mean over frames weighted by their own power, which silence before, after or within speech leaves as
    it is.

    Args:
        samples: float32 [samples], 16 kHz.

    Returns:
        float32 [frames, BANDS].
    """
    power = mel.mel_power(samples, MEL)
    frames = power.mean(axis=1, dtype=np.float64)
    loud = max(float(np.square(frames).sum() / max(frames.sum(), 1e-12)), 1e-12)
    kept = frames >= loud * 10 ** (QUIET_DB / 10)
    relative = (power[kept] if kept.any() else power) / np.float32(loud)
    floored: Features = np.maximum(relative, np.float32(10 ** (FLOOR_DB / 10)))
    return np.float32(10) * np.log10(floored)


def centre(picture: Features) -> Features:
    """Each band with mean 0, which takes the microphone's response away, in units of ``SCALE_DB``."""
    return np.asarray((picture - picture.mean(axis=0, dtype=np.float64)) / SCALE_DB, np.float32)


PROCESSOR = CnnProcessor()
