"""Level and zero crossings, frame by frame, in librosa's framing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.framing import HOP, WINDOW, Float, centred

CROSSING_FLOOR = 1e-10  # samples at or below this magnitude count as zero, and zero counts as positive


def _windowed_sums(values: Float) -> NDArray[np.float64]:
    """Sum over each window, through sums over hops: a window is a whole number of hops.

    Args:
        values: float32 [samples], already padded.

    Returns:
        float64 [frames].
    """
    hops = values.size // HOP
    per_hop = values[: hops * HOP].reshape(hops, HOP).sum(axis=1, dtype=np.float64)
    sums: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(per_hop, WINDOW // HOP).sum(axis=1)
    return sums


def rms(samples: Float) -> NDArray[np.float64]:
    """Root mean square of each frame.

    Args:
        samples: float32 [samples].

    Returns:
        float64 [frames].
    """
    root: NDArray[np.float64] = np.sqrt(_windowed_sums(np.square(centred(samples))) / WINDOW)
    return root


def zero_crossing_rate(samples: Float) -> NDArray[np.float64]:
    """Share of samples in each frame whose sign differs from that of the sample before.

    Args:
        samples: float32 [samples].

    Returns:
        float64 [frames], 0 to 1.
    """
    padded = centred(samples, mode="edge")
    negative = padded < -CROSSING_FLOOR
    crossed = np.zeros(padded.size, np.float32)
    crossed[1:] = negative[1:] != negative[:-1]
    sums = _windowed_sums(crossed)
    # a crossing into the first sample of a frame belongs to the frame before
    rate: NDArray[np.float64] = (sums - crossed[: sums.size * HOP : HOP]) / WINDOW
    return rate
