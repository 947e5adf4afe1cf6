"""From a heart sound recording to its spectrogram and a vector of beat statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp import mel
from models import padding
from models.heart_sound import statistics
from models.heart_sound.quality import judge
from models.processing import Features, Prepared, check_audio

SAMPLE_RATE = 2_000  # Hz; nothing above 800 Hz is read, because recorders differ most there
MIN_SAMPLES = SAMPLE_RATE  # 1 s: about one heartbeat; shorter recordings are repeated
BANDS = 32
MEL = mel.MelConfig(SAMPLE_RATE, fft=128, hop=20, bands=BANDS, low_hz=25.0, high_hz=800.0)  # 100 frames a second
SILENT_RMS = 1e-7  # below the smallest step of 24-bit audio
FLOOR = 1e-6  # mel power of a recording at unit RMS; 60 dB and more below the average band
MULTIPLE = 8  # total pooling of the network over time
SUMMARY_ROWS = -(-statistics.SIZE // BANDS)


class HeartProcessor:
    """The processor of the heart sound model."""

    def prepare(self, item: NDArray[np.float32]) -> Prepared:
        """Computes what the network reads of one recording.

        Level does not matter: every recording is brought to the same RMS. The mean of each band over time is taken out
        of the picture, and with it most of what a microphone adds.

        Args:
            item: float32 [samples], 2 kHz, in [-1, 1].

        Returns:
            Features float32 [SUMMARY_ROWS + frames, BANDS]: the statistics, filled up with zeros, then 50 frames a
            second. Extras ``too_short``, ``too_quiet``, ``too_noisy`` (0 or 1) and what they were decided from.

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        samples = check_audio(item)
        extras = judge(samples, SAMPLE_RATE)
        return Prepared(pack(*features(unit_level(samples))), extras)

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """``spectrogram`` [batch, frames, BANDS], ``mask`` [batch, frames] and ``summary`` [batch, SIZE], float32."""
        parts = [unpack(item) for item in batch]
        spectrogram, mask = padding.pad([picture for _, picture in parts], MULTIPLE)
        return {"spectrogram": spectrogram, "mask": mask, "summary": np.stack([summary for summary, _ in parts])}


def unit_level(samples: Features) -> Features:
    """Without offset, at RMS 1 and at least ``MIN_SAMPLES`` long; silence counts as hiss, in which nothing beats."""
    centred = samples - samples.mean()
    rms = np.sqrt(np.mean(np.square(centred)))
    if rms < SILENT_RMS:
        return np.random.default_rng(0).standard_normal(max(len(samples), MIN_SAMPLES), np.float32)
    return np.resize(centred / rms, max(len(centred), MIN_SAMPLES)).astype(np.float32, copy=False)


def features(samples: Features) -> tuple[Features, Features]:
    """Beat statistics and picture of a recording at unit RMS.

    Args:
        samples: float32 [samples], 2 kHz, at least ``MIN_SAMPLES``.

    Returns:
        float32 [statistics.SIZE] and float32 [frames, BANDS], 50 frames a second.
    """
    power = mel.mel_power(samples, MEL)
    decibels = np.float32(10) * np.log10(np.maximum(power, np.float32(FLOOR)))
    pairs = decibels[: len(decibels) // 2 * 2].reshape(-1, 2, BANDS).mean(axis=1)
    picture = pairs - pairs.mean(axis=0)
    return statistics.summarise(power), (picture / np.float32(10)).astype(np.float32)


def pack(summary: Features, picture: Features) -> Features:
    """Both parts in one array, as a runner hands it on."""
    head = np.zeros(SUMMARY_ROWS * BANDS, np.float32)
    head[: len(summary)] = summary
    return np.concatenate((head.reshape(SUMMARY_ROWS, BANDS), picture))


def unpack(item: Features) -> tuple[Features, Features]:
    """What ``pack`` put together."""
    return item[:SUMMARY_ROWS].reshape(-1)[: statistics.SIZE], item[SUMMARY_ROWS:]


PROCESSOR = HeartProcessor()
