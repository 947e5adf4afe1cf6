"""From a heart sound recording to its spectrogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp import mel
from models import padding
from models.heart_sound.quality import judge
from models.processing import Features, Prepared, check_audio

SAMPLE_RATE = 2_000  # Hz; nothing above 800 Hz is read, because recorders differ most there
MIN_SAMPLES = SAMPLE_RATE  # 1 s: about one heartbeat; shorter recordings are repeated
BANDS = 32
MEL = mel.MelConfig(SAMPLE_RATE, fft=128, hop=20, bands=BANDS, low_hz=25.0, high_hz=800.0)  # 100 frames a second
# What is cut off before and after a recording: tenths of a second so much weaker (25 dB) than its loud ones, which are
# the upper twentieth of it, since one knock is louder than any heart.
QUIETEST, LOUD = 10**-2.5, 0.95
SILENT_RMS = 1e-7  # below the smallest step of 24-bit audio
FLOOR = 1e-6  # mel power of a recording at unit RMS; 60 dB and more below the average band
MULTIPLE = 8  # total pooling of the network over time


class HeartProcessor:
    """The processor of the heart sound model."""

    def prepare(self, item: NDArray[np.float32]) -> Prepared:
        """Computes what the network reads of one recording.

        Level does not matter: every recording is brought to the same RMS. The mean of each band over time is taken out
        of the spectrogram, and with it most of what a microphone adds.

        Args:
            item: float32 [samples], 2 kHz, in [-1, 1].

        Returns:
            Features float32 [frames, BANDS], 50 frames a second. Extras ``too_short``, ``too_quiet``, ``too_noisy``
            (0 or 1) and what they were decided from.

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        samples = trimmed(check_audio(item))
        extras = judge(samples, SAMPLE_RATE)
        return Prepared(spectrogram(unit_level(samples)), extras)

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """``spectrogram`` [batch, frames, BANDS] and ``mask`` [batch, frames], float32."""
        padded, mask = padding.pad(batch, MULTIPLE)
        return {"spectrogram": padded, "mask": mask}


def trimmed(samples: Features) -> Features:
    """Without the silence or hiss before the first beat and after the last, which would move the mean of each band.

    Args:
        samples: float32 [samples].

    Returns:
        float32, the samples from the first to the last tenth of a second that is not much weaker than the loud ones.
    """
    size = SAMPLE_RATE // 10
    count = len(samples) // size
    if not count:
        return samples
    pieces = samples[: count * size].reshape(count, size)
    levels = np.square(pieces - pieces.mean(axis=1, keepdims=True)).mean(axis=1)
    loud = np.flatnonzero(levels > QUIETEST * np.quantile(levels, LOUD))
    return samples[loud[0] * size : (loud[-1] + 2) * size] if loud.size else samples


def unit_level(samples: Features) -> Features:
    """Without offset, at RMS 1 and at least ``MIN_SAMPLES`` long; silence counts as hiss, in which nothing beats."""
    centred = samples - samples.mean()
    rms = np.sqrt(np.mean(np.square(centred)))
    if rms < SILENT_RMS:
        return np.random.default_rng(0).standard_normal(max(len(samples), MIN_SAMPLES), np.float32)
    return np.resize(centred / rms, max(len(centred), MIN_SAMPLES)).astype(np.float32, copy=False)


def spectrogram(samples: Features) -> Features:
    """Level of each band in units of 10 dB, less its mean over time.

    Args:
        samples: float32 [samples], 2 kHz, at unit RMS, at least ``MIN_SAMPLES``.

    Returns:
        float32 [frames, BANDS], 50 frames a second.
    """
    decibels = mel.log_mel(samples, MEL, FLOOR)
    pairs = decibels[: len(decibels) // 2 * 2].reshape(-1, 2, BANDS).mean(axis=1)
    return np.asarray((pairs - pairs.mean(axis=0)) / 10, np.float32)


PROCESSOR = HeartProcessor()
