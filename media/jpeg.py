"""The structure of a JPEG file, as far as it says how much work its decoding is."""

from __future__ import annotations

import re

END, START_OF_SCAN = 0xD9, 0xDA
MAX_SEGMENTS = 10_000  # that are looked at; a camera writes some tens, large notes take some hundreds

# What begins a segment: within coded data, 0xFF is followed by 0 or a restart marker (0xD0 to 0xD7).
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")


def count_scans(data: bytes, limit: int) -> int:
    """Counts the scans of the first picture; one more than the limit also for more segments than any picture needs.

    What follows its end (a film, a second picture) is none of it.

    Args:
        data: The file; one that is cut off or damaged is followed as far as it goes.
        limit: Number of scans beyond which counting ends.
    """
    scans, place = 0, 2
    for _ in range(MAX_SEGMENTS):
        marker = _MARKER.search(data, place)
        if marker is None or (kind := marker[1][0]) == END:
            return scans
        scans += kind == START_OF_SCAN
        if scans > limit:
            break
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return limit + 1
