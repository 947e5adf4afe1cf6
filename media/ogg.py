"""The links of a chained Ogg file: streams one after the other, each with headers of its own (RFC 3533, 4)."""

from __future__ import annotations

import re

_FIRST_PAGE = re.compile(rb"OggS\0[\x02\x03\x06\x07]")  # of a stream; random bytes look like it once in 2^46
_HEADER = 27  # bytes of a page before its table of segments


def links(data: bytes) -> list[bytes]:
    """Divides a file where a link begins: at the first pages of its streams, which follow one another.

    FFmpeg goes on with the decoder of the first link, which fails where the rate or the channels are others.

    Args:
        data: An Ogg file.

    Returns:
        The links, the file itself where it has one.
    """
    starts: list[int] = []
    expected = 0
    for found in _FIRST_PAGE.finditer(data):
        place = found.start()
        if place != expected or not starts:
            starts.append(place)
        table = data[place + _HEADER - 1 : place + _HEADER]
        segments = data[place + _HEADER : place + _HEADER + sum(table)]
        expected = place + _HEADER + len(segments) + sum(segments)
    if len(starts) < 2:
        return [data]
    return [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]
