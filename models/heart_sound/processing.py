"""From a heart sound recording to its spectrogram, and whether it can be judged at all.

What says whether it can be judged is for logs, metrics and the ``problems`` of an answer; it changes no class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp import mel
from models import processing
from models.processing import Features, Prepared, check_audio

SAMPLE_RATE = 2_000  # Hz; nothing above 800 Hz is read, because recorders differ most there
MIN_SAMPLES = SAMPLE_RATE  # 1 s: about one heartbeat; shorter recordings are repeated
BANDS = 32
MEL = mel.MelConfig(SAMPLE_RATE, fft=128, hop=20, bands=BANDS, low_hz=25.0, high_hz=800.0)  # 100 frames a second
SILENT_RMS = 1e-7  # below the smallest step of 24-bit audio
FLOOR = 1e-6  # mel power of a recording at unit RMS; 60 dB and more below the average band
# A frame that is lost: its bands lie within 6 dB of the floor on average, and 10 dB below those of the median frame, as
# a diastole of a recording without noise seldom does. 31 of 623 recordings of hearts have such frames; networks that
# had not seen the patient answer them all alike with and without.
LOST_DB, LOST_BELOW_DB = -54.0, 10.0
MULTIPLE = 8  # total pooling of the network over time


class HeartProcessor:
    """The processor of the heart sound model."""

    def prepare(self, item: NDArray[np.float32]) -> Prepared:
        """Computes what the network reads of one recording.

        Level does not matter: every recording is brought to the same RMS. The mean of each band over time is taken out
        of the spectrogram, and with it most of what a microphone adds. Drop-outs, which would move these means by many
        dB, are left out of them and set to them, as the gaps are that training makes.

        Args:
            item: float32 [samples], 2 kHz, in [-1, 1].

        Returns:
            Features float32 [frames, BANDS], 50 frames a second. Extras ``too_short``, ``too_quiet``, ``too_noisy``
            (0 or 1) and what they were decided from.

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        samples = check_audio(item)
        extras = judge(samples, SAMPLE_RATE)
        decibels = levels(unit_level(samples))
        return Prepared(normalised(decibels, drop_outs(decibels)), extras)

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """``spectrogram`` [batch, frames, BANDS] and ``mask`` [batch, frames], float32."""
        padded, mask = processing.pad(batch, MULTIPLE)
        return {"spectrogram": padded, "mask": mask}


def unit_level(samples: Features) -> Features:
    """Without offset, at RMS 1 and at least ``MIN_SAMPLES`` long; silence counts as hiss, in which nothing beats."""
    centred = samples - samples.mean()
    rms = np.sqrt(np.mean(np.square(centred)))
    if rms < SILENT_RMS:
        return np.random.default_rng(0).standard_normal(max(len(samples), MIN_SAMPLES), np.float32)
    return np.resize(centred / rms, max(len(centred), MIN_SAMPLES)).astype(np.float32, copy=False)


def spectrogram(samples: Features) -> Features:
    """What the network reads of a whole recording, as it is trained.

    Args:
        samples: float32 [samples], 2 kHz, at unit RMS, at least ``MIN_SAMPLES``.

    Returns:
        float32 [frames, BANDS], 50 frames a second.
    """
    decibels = levels(samples)
    return normalised(decibels, np.zeros(len(decibels), np.bool_))


def levels(samples: Features) -> Features:
    """Level of each band (dB), float32 [frames, BANDS], 50 frames a second."""
    decibels = mel.log_mel(samples, MEL, FLOOR)
    return np.asarray(decibels[: len(decibels) // 2 * 2].reshape(-1, 2, BANDS).mean(axis=1), np.float32)


def drop_outs(decibels: Features) -> NDArray[np.bool_]:
    """Frames in which there is nothing, and those beside them, which begin or end in them.

    Args:
        decibels: float32 [frames, BANDS].

    Returns:
        bool [frames]; none where it would be half of them or more.
    """
    level = decibels.mean(axis=1)
    lost = np.pad(level < min(LOST_DB, float(np.median(level)) - LOST_BELOW_DB), 1)
    lost = lost[:-2] | lost[1:-1] | lost[2:]
    return lost if lost.mean() < 0.5 else np.zeros_like(lost)


def normalised(decibels: Features, lost: NDArray[np.bool_]) -> Features:
    """Levels in units of 10 dB, less the mean of each band over the frames that are not lost; 0 in those that are."""
    out = (decibels - decibels[~lost].mean(axis=0)) / 10
    out[lost] = 0
    return np.asarray(out, np.float32)


PROCESSOR = HeartProcessor()


SHORT_S = 2.5  # three beats at 72 a minute: the fewest that show a rhythm
QUIET_DBFS = -60.0  # RMS after the upload's amplification; 16-bit rounding noise is 38 dB below
ENVELOPE_HZ = 50  # values of the loudness curve a second
# What repeats in the loudness curve of mere noise: the largest of some 60 correlations of n independent values is
# about 2.7 / sqrt(n); clean beats reach 0.3 and more.
CHANCE = 3.2
SLOWEST_S, FASTEST_S = 1.6, 0.35  # beat lengths looked for: 37 to 170 a minute


def judge(samples: Features, rate: int) -> dict[str, float]:
    """Measures length, level and how much of the sound beats.

    Args:
        samples: float32 [samples], at least one, in [-1, 1].
        rate: Samples per second (Hz).

    Returns:
        ``duration_s``, ``level_dbfs``, ``repetition`` (0 to 1); ``too_short``, ``too_quiet``, ``too_noisy`` (0 or 1).
    """
    duration = len(samples) / rate
    level = 10.0 * float(np.log10(max(float(np.mean(np.square(samples, dtype=np.float64))), 1e-20)))
    beats = repetition(samples, rate)
    return {
        "duration_s": duration,
        "level_dbfs": level,
        "repetition": beats,
        "too_short": float(duration < SHORT_S),
        "too_quiet": float(level < QUIET_DBFS),
        # What is too quiet shows no beat either, but not because of noise.
        "too_noisy": float(level >= QUIET_DBFS and beats < CHANCE / np.sqrt(max(1.0, duration * ENVELOPE_HZ))),
    }


def repetition(samples: Features, rate: int) -> float:
    """Largest normalised autocorrelation of the loudness curve between the fastest and slowest beat.

    Returns:
        0 to 1; 0 for recordings too short to hold two beats.
    """
    hop = rate // ENVELOPE_HZ
    frames = len(samples) // hop
    first, last = int(FASTEST_S * ENVELOPE_HZ), min(int(SLOWEST_S * ENVELOPE_HZ), frames // 2)
    if last <= first:
        return 0.0
    energy = np.square(samples[: frames * hop].reshape(frames, hop), dtype=np.float64).mean(axis=1)
    curve = np.log(energy + 1e-3 * energy.mean() + 1e-20)
    curve -= curve.mean()
    spectrum = np.fft.rfft(curve, 2 * frames)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)))[: last + 1] / np.arange(frames, frames - last - 1, -1)
    return float(np.clip(correlation[first : last + 1].max() / max(correlation[0], 1e-12), 0.0, 1.0))
