"""Where the windows of a recording lie in it, when its long pauses were cut before it was split."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.spec import split


def bounds(kept: NDArray[np.bool_], window: int, piece: int) -> list[tuple[int, int]]:
    """The first and last sample of each window.

    Args:
        kept: Which samples were looked at, bool [n].
        window: Longest window (samples).
        piece: Longest piece of what was kept that is split at once (samples).

    Returns:
        Start and end (exclusive) of each, in samples of the recording.
    """
    places = np.flatnonzero(kept).astype(np.int32)
    found = []
    for start in range(0, places.size, piece):
        parts: Sequence[NDArray[np.int32]] = split(places[start : start + piece], window)  # type: ignore[arg-type, assignment]
        found += [(int(part[0]), int(part[-1]) + 1) for part in parts]
    return found


def named(rows: Sequence[dict[str, float]], spans: Sequence[tuple[float, float]]) -> list[dict[str, object]]:
    """Segments of an answer.

    Args:
        rows: Probabilities of each window.
        spans: Start and end of each (seconds); there may be more than were asked about.
    """
    return [
        {
            "start": round(start, 3),
            "end": round(end, 3),
            "prediction": (best := max(row, key=lambda name: row[name])),
            "confidence": min(row[best], 1.0),
            "probabilities": {name: min(value, 1.0) for name, value in row.items()},
        }
        for row, (start, end) in zip(rows, itertools.islice(spans, len(rows)), strict=True)
    ]
