"""Which parts of a recording are worth looking at: not its silent stretches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.framing import Float

FRAME_S = 0.02
LOUD_S = 0.5  # what is louder than all but this much says how loud a recording is where something happens
QUIET_DB = 26.0  # below that a frame is quiet: speech is rarely, room tone of a usable recording nearly always
PAUSE_S = 0.6  # quiet stretches of at least this length are cut; shorter ones are the pauses of speech
MARGIN_S = 0.1  # of a cut stretch that stays at each side, so that no consonant is lost
FLOOR_DB = -100.0


def without_pauses(samples: Float, sample_rate: int) -> Float:
    """A recording without its long quiet stretches, so that silence around or within speech has no say.

    Args:
        samples: float32 [n].
        sample_rate: Hz.

    Returns:
        float32 [m], m <= n; the very array where nothing is cut.
    """
    kept = active(samples, sample_rate)
    return samples if kept.all() else samples[kept]


def active(samples: Float, sample_rate: int) -> NDArray[np.bool_]:
    """Which samples are not in a long quiet stretch, bool [n]."""
    frame = round(FRAME_S * sample_rate)
    count = len(samples) // frame
    kept = np.full(len(samples), True)
    if count == 0:
        return kept
    power = np.square(samples[: count * frame].reshape(count, frame), dtype=np.float64).mean(axis=1)
    levels = np.maximum(10.0 * np.log10(np.maximum(power, 1e-20)), FLOOR_DB)
    loud = np.partition(levels, -min(count, round(LOUD_S / FRAME_S)))[-min(count, round(LOUD_S / FRAME_S))]
    quiet = levels < loud - QUIET_DB
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]])))
    margin = round(MARGIN_S / FRAME_S)
    for start, end in edges.reshape(-1, 2):
        if end - start >= PAUSE_S / FRAME_S:
            first = start if start == 0 else start + margin
            last = len(samples) if end == count else (end - margin) * frame
            kept[first * frame : last] = False
    return kept
