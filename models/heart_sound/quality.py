"""Whether a heart sound recording can be judged at all. For logs and metrics; it changes no answer."""

from __future__ import annotations

import numpy as np

from models.processing import Features

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
        "too_noisy": float(beats < CHANCE / np.sqrt(max(1.0, duration * ENVELOPE_HZ))),
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
