"""Long recordings in pieces, and what a piece costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.spec import AudioInput, ModelSpec


def split(samples: NDArray[np.float32], window: int) -> list[NDArray[np.float32]]:
    """Cuts a recording into the fewest pieces of nearly equal length that are no longer than a window.

    Equal pieces, because a short rest at the end would be answered with less to go by than everything else.

    Args:
        samples: float32 [n], at least one sample.
        window: Longest piece (samples).

    Returns:
        Views of ``samples``, in order, without overlap.
    """
    count = max(1, math.ceil(samples.size / window))
    return np.array_split(samples, count)


def average(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Joins the answers of a recording's windows: their mean, weighted by length.

    Args:
        rows: float64 [windows, classes], probabilities.
        weights: float64 [windows], lengths in any unit, not all zero.

    Returns:
        float64 [classes], summing to 1.
    """
    return np.asarray(np.average(rows, axis=0, weights=weights))


def average_without(
    rows: NDArray[np.float64], weights: NDArray[np.float64], ignored: int, least: float
) -> NDArray[np.float64]:
    """Joins the answers of a recording's windows, of which those of one class do not count.

    Args:
        rows: float64 [windows, classes], probabilities.
        weights: float64 [windows], lengths in any unit, not all zero.
        ignored: The class that says that there is nothing in a window.
        least: Share of the recording that the other windows need to make up; with less, all windows count.

    Returns:
        float64 [classes], summing to 1.
    """
    found = np.where(rows.argmax(axis=1) == ignored, 0.0, weights)
    return average(rows, found if found.sum() >= least * np.sum(weights) else weights)


def cost(spec: ModelSpec, item: NDArray[Any]) -> float:
    """What an item costs its runner: seconds of audio, or 1 for a picture."""
    if isinstance(spec.input, AudioInput):
        return float(max(item.shape[0] / spec.input.sample_rate, spec.input.min_s))
    return 1.0
