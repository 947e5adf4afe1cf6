"""From speech to a 128-band mel spectrogram in decibels, whatever its level and length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp import mel
from models import padding
from models.processing import Features, Prepared, check_audio

SAMPLE_RATE = 16_000  # Hz
MIN_SAMPLES = SAMPLE_RATE  # 1 s; shorter clips are followed by zeros up to it
BANDS = 128
# 100 frames a second of 25 ms: short enough to blur most harmonics, which tell who speaks, not what made the speech.
MEL = mel.MelConfig(SAMPLE_RATE, fft=1024, hop=160, bands=BANDS, low_hz=0.0, high_hz=8_000.0, window=400)
FLOOR_DB = -60.0  # below the clip's mean band power: recorders' noise floors are no evidence
SCALE_DB = 20.0  # decibels for one unit of the network's input
MULTIPLE = 16  # frames; few different shapes for the engine to plan for


class CnnProcessor:
    """The processor of the spectrogram member."""

    def prepare(self, item: NDArray[np.float32]) -> Prepared:
        """Computes the spectrogram of one clip.

        Args:
            item: float32 [samples], 16 kHz, in [-1, 1].

        Returns:
            Features float32 [frames, BANDS], 100 frames a second, mean 0.

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        samples = check_audio(item)
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        return Prepared(centre(decibels(samples)))

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """``spectrogram`` float32 [batch, frames, BANDS] and ``mask`` float32 [batch, frames]."""
        spectrogram, mask = padding.pad(batch, MULTIPLE)
        return {"spectrogram": spectrogram, "mask": mask}


def decibels(samples: Features) -> Features:
    """Mel power in dB relative to the clip's mean, not below ``FLOOR_DB``.

    Args:
        samples: float32 [samples], 16 kHz.

    Returns:
        float32 [frames, BANDS].
    """
    power = mel.mel_power(samples, MEL)
    reference = np.float32(max(float(power.mean(dtype=np.float64)), 1e-12))
    relative: Features = np.maximum(power / reference, np.float32(10 ** (FLOOR_DB / 10)))
    return np.float32(10) * np.log10(relative)


def centre(picture: Features) -> Features:
    """Mean 0, in units of ``SCALE_DB``."""
    return np.asarray((picture - picture.mean(dtype=np.float64)) / SCALE_DB, np.float32)


PROCESSOR = CnnProcessor()
