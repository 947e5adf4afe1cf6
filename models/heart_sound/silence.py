"""Where a recording holds heart sound: silence, drop-outs and pauses carry nothing of the heart and are left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.temporal import outside_long_runs
from models.processing import Features

FRAME_S = 0.05
# Quantile of the frames' levels that says how loud the heart is. In a recording of more than 5 s, what lies above it is
# longer than a knock, which is louder than any heart, and shorter than a heart of 1 s after 15 s of a quiet room.
LOUD = 0.98
NOTHING = 1e-10  # power of the rounding noise of 16-bit audio; such frames do not say how loud the heart is
# 25 dB below for longer than a diastole: one of 591 recordings of hearts has such a stretch, a dozen have one of 0.6 s.
QUIET, PAUSE_S = 10**-2.5, 1.0


def heart(samples: Features, sample_rate: int) -> NDArray[np.bool_]:
    """Which samples are not in a long quiet stretch before, between or after the beats.

    Args:
        samples: float32 [n].
        sample_rate: Hz.

    Returns:
        bool [n]; all where nothing is louder than the rest.
    """
    frame = round(FRAME_S * sample_rate)
    count = len(samples) // frame
    pieces = samples[: count * frame].reshape(count, frame)
    power = pieces.var(axis=1)
    audible = power[power > NOTHING]
    if not audible.size:
        return np.full(len(samples), True)
    quiet = power < QUIET * np.quantile(audible, LOUD)
    return outside_long_runs(quiet, frame, len(samples), round(PAUSE_S / FRAME_S), 0)


def without_silence(samples: Features, sample_rate: int) -> Features:
    """A recording without what ``heart`` leaves out, float32 [m], m <= n; the very array where that is nothing."""
    kept = heart(samples, sample_rate)
    return samples if kept.all() else samples[kept]
