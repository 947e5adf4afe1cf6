"""Matroska and WebM: tracks that are compressed are refused, since one block may unpack to any size."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from core.errors import BadRequest
from media.containers import DAMAGED

MAX_ELEMENTS = 10_000  # of all lists of tracks; a film with fifty tracks has about a thousand

# Matroska elements on the way to the algorithm by which a track's packets are compressed (RFC 9559, 5.1.4).
_TRACKS = b"\x16\x54\xae\x6b"
_TRACK, _ENCODINGS, _ENCODING, _COMPRESSION, _ALGORITHM = b"\xae", b"\x6d\x80", b"\x62\x40", b"\x50\x34", b"\x42\x54"
_HEADER_STRIPPING = 3  # the only one that does not expand: it puts some fixed bytes before each packet


def check_matroska(data: bytes) -> None:
    """Refuses a Matroska or WebM file with compressed tracks.

    One block may hold 256 packets, each of which FFmpeg would unpack to any size before it gives out the first.

    Raises:
        BadRequest: A track is compressed.
    """
    elements = _Elements(data)
    place = data.find(_TRACKS)
    while place >= 0:
        for tracks in itertools.islice(elements.named(_TRACKS, place, len(data)), 1):
            for track in elements.named(_TRACK, *tracks):
                for encodings in elements.named(_ENCODINGS, *track):
                    for encoding in elements.named(_ENCODING, *encodings):
                        _check_encoding(elements, *encoding)
        place = data.find(_TRACKS, place + 1)


def _check_encoding(elements: _Elements, start: int, end: int) -> None:
    algorithms = {
        int.from_bytes(elements.data[slice(*algorithm)])
        for compression in elements.named(_COMPRESSION, start, end)
        for algorithm in elements.named(_ALGORITHM, *compression)
    }
    if algorithms != {_HEADER_STRIPPING}:  # none stated is zlib
        raise BadRequest("the audio has compressed or encrypted tracks, which are not read")


class _Elements:
    """The elements of a Matroska file, of which a bounded number is looked at."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = MAX_ELEMENTS

    def named(self, name: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yields where the contents of the elements of one name begin and end, as far as there are elements."""
        data = self.data
        while start + 1 < end and data[start]:
            self._left -= 1
            if self._left < 0:
                raise BadRequest(DAMAGED)
            size_at = start + 9 - data[start].bit_length()
            if size_at >= end or not data[size_at]:
                return
            length = 9 - data[size_at].bit_length()
            begin = size_at + length
            size = int.from_bytes(data[size_at:begin]) & ((1 << 7 * length) - 1)
            if data[start:size_at] == name:
                yield begin, min(begin + size, end)
            start = begin + size
