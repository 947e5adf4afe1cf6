"""What a recording is when its windows differ: pauses do not outvote what is heard between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.audio_scene import SPEC
from models.windows import average

SILENCE = SPEC.classes.index("silence")
# Where at least this share of a recording is something else, its silent windows do not count: a few words are speech
# however long the pauses, but one doubtful window does not make a scene of an hour of silence.
MIN_SOUND_SHARE = 0.05


def join(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Joins the answers of a recording's windows.

    Args:
        rows: float64 [windows, classes], probabilities.
        weights: float64 [windows], lengths in any unit, not all zero.

    Returns:
        float64 [classes], summing to 1.
    """
    found = np.where(rows.argmax(axis=1) == SILENCE, 0.0, weights)
    return average(rows, found if found.sum() >= MIN_SOUND_SHARE * np.sum(weights) else weights)
