"""The rules about level that need no network.

A clip without one passage above the gate is heard as digital silence, whatever its samples are: one-bit dither, the
rounding noise of a converter, zeros. And a faint clip in which something happens is turned up before the network hears
it, because nothing happens in silence: quiet speech is judged as if it were spoken up. The network decides the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.processing import Features

# RMS of the loudest 50 ms, relative to full scale. At 16 bits, 3 steps: speech of which the loudest syllable is
# below that cannot be understood. One-bit dither has -90 dBFS, quiet rooms in the training data -80 to -50 dBFS.
GATE_DBFS = -80.0
FRAME = 800  # samples: 50 ms at 16 kHz
# The loudest 50 ms above the level that a fifth of the clip stays below (dB). Measured on training windows: true
# silence, breaths included, is below 12 in 99 of 100; speech is above in 95 of 100, at any level.
EVENT_DB = 13.0
FAINT_DBFS = -30.0  # only windows below this are turned up; the training clips' own levels begin here
RAISED_DBFS = -20.0  # to this level of the loudest 50 ms


def frame_levels(samples: Features) -> NDArray[np.float64]:
    """RMS level of each 50 ms of a clip.

    Args:
        samples: float32 [samples], at least one, 16 kHz, in [-1, 1].

    Returns:
        float64 [frames], dBFS (a full-scale sine has -3); at least -200.
    """
    whole = len(samples) // FRAME * FRAME
    frames = samples[:whole].reshape(-1, FRAME) if whole else samples[None]
    centred = frames - frames.mean(axis=1, keepdims=True)  # an offset cannot be heard
    power = np.square(centred, dtype=np.float64).mean(axis=1)
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-20)), np.float64)


def loudest_dbfs(samples: Features) -> float:
    """RMS level of the loudest 50 ms of a clip (dBFS)."""
    return float(frame_levels(samples).max())


def level(samples: Features) -> Features:
    """Zeros in place of a clip below the gate, and a faint clip with events in it turned up; others as they are."""
    levels = frame_levels(samples)
    loudest = float(levels.max())
    if loudest < GATE_DBFS:
        return np.zeros_like(samples)
    if loudest < FAINT_DBFS and loudest - float(np.percentile(levels, 20)) > EVENT_DB:
        return np.asarray(samples * np.float32(10 ** ((RAISED_DBFS - loudest) / 20)), np.float32)
    return samples
