"""What decoding a file will take.

Its header tells the memory for a picture and the length of a recording. The time that is waited for decoding threads is
estimated by what earlier pieces of the same kind took.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from media.containers import sniff
from media.image import MAX_PIXELS, MAX_SIDE, TILE_SIDE, read_header

FIXED_BYTES = 8 << 20  # the decoder's own tables, and what it reads of the file at once
SMALL_BYTES = 4  # a pixel of the picture scaled by a whole number
TILE_BYTES = 16  # a pixel of a tile: cut out, with transparency, on its background, as RGB
RESULT_BYTES = 4 + 4 + 3  # a pixel of the result: as it is scaled, as it is turned, as an array

# A second of sound costs as much to decode as so many bytes of a usual file (MP3 of 32 kbit/s), however few it has.
SECOND_BYTES = 4000
PLAIN_WAV = {1, 3, 6, 7, 0xFFFE}  # PCM, floats and the two laws: a whole number of bits for each sample
HEAD_BYTES = 1 << 16  # in which the layout of a WAV file is looked for
FLAC_HEADER = 26  # bytes up to the number of frames
OPUS_RATE = 48_000  # of its times (Hz)
OGG_PAGE = 1 << 16  # a page is shorter


def picture_bytes(data: bytes, max_pixels: int = MAX_PIXELS) -> int:
    """Tells from its header what ``media.image.decode_image`` will take for a picture at most (bytes).

    Args:
        data: The file.
        max_pixels: As of ``decode_image``.

    Raises:
        ServiceError: As ``media.image.read_header``: a picture that would be refused.
    """
    header = read_header(data, max_pixels)
    image, full, beside = header.image, header.full_bytes, header.decoder_bytes
    factor = max(1, max(image.size) // MAX_SIDE)
    copied = 0
    if factor > 1 or image.mode != "RGB":
        small = (image.width // factor + 1) * (image.height // factor + 1) * SMALL_BYTES
        copied = small + min(image.width, TILE_SIDE) * min(image.height, TILE_SIDE) * TILE_BYTES
    result = min(image.width, MAX_SIDE) * min(image.height, MAX_SIDE) * RESULT_BYTES
    kept = beside * 2 // 3 if image.format == "WEBP" else 0
    return FIXED_BYTES + full + max(beside, kept + copied + result)


def stated_seconds(data: bytes) -> float:
    """Tells from its header how long a recording will be, without decoding (seconds).

    What it says decides nothing but whether there is room: it may be a lie, and is then found out while decoding.

    Returns:
        0 where it states no length, or in a way that only a decoder reads.
    """
    container = sniff(data)
    if container == "wav":
        return _wav_seconds(data)
    if container == "flac" and len(data) >= FLAC_HEADER:
        packed = int.from_bytes(data[18:26])
        rate, frames = packed >> 44, packed & (1 << 36) - 1
        return frames / rate if rate else 0.0
    return _ogg_seconds(data) if container == "ogg" else 0.0


def _wav_seconds(data: bytes) -> float:
    """Longest time that the bytes of a WAV file can hold, by the first layout that it states."""
    place = data.find(b"fmt ", 0, HEAD_BYTES)
    layout = data[place + 8 : place + 24]
    if place < 0 or len(layout) < 16 or data[:4] != b"RIFF":
        return 0.0
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", layout)
    if tag not in PLAIN_WAV or not (rate and channels and bits):
        return 0.0
    return 8 * len(data) / int(rate * channels * bits)


def _ogg_seconds(data: bytes) -> float:
    """Time of the last page of an Ogg file of Opus or Vorbis, by the rate of the first stream."""
    first = data[28:44]
    if first.startswith(b"OpusHead"):
        rate = OPUS_RATE
    elif first.startswith(b"\x01vorbis"):
        rate = int.from_bytes(first[12:16], "little")
    else:
        return 0.0
    last = data.rfind(b"OggS", max(0, len(data) - OGG_PAGE))
    frames = int.from_bytes(data[last + 6 : last + 14], "little", signed=True)
    return max(0, frames) / rate if last >= 0 and rate else 0.0


# Pieces of each kind of decoding whose time and size are remembered, and how many of them are left out, the longest
# first: a process that was stopped for a while says nothing about its work.
REMEMBERED_OF_A_KIND = 32
OUTLIERS = 1
OVERHEAD_BYTES = 4096  # what a piece costs besides its bytes, in bytes


@dataclass(slots=True)
class Rate:
    """How long work of one kind takes for its size."""

    _done: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_OF_A_KIND))

    def note(self, seconds: float, size: int) -> None:
        """Remembers a piece that has been done; to be called in any thread."""
        self._done.append((seconds, size + OVERHEAD_BYTES))

    def seconds(self, size: int) -> float:
        """Expected time of a piece of so many bytes; 0 until one has been done.

        All of the time by all of the size, and no median of pieces: those that take long are what others wait for.
        """
        done = sorted(self._done)
        done = done[:-OUTLIERS] if len(done) > OUTLIERS else done
        bytes_ = sum(size for _, size in done)
        return sum(seconds for seconds, _ in done) / bytes_ * (size + OVERHEAD_BYTES) if bytes_ else 0.0


@dataclass(slots=True)
class DecodingEstimator:
    """What is parsed and decoded in the threads, each piece measured by its kind and size.

    Attributes:
        places: Threads.
    """

    places: int = 1
    _rates: dict[str, Rate] = field(default_factory=dict)
    _under_way: list[tuple[float, float]] = field(default_factory=list)

    def note(self, kind: str, seconds: float, size: int, expected: int | None = None) -> None:
        """Remembers a piece that has been done; to be called in any thread.

        Args:
            kind: Of the piece.
            seconds: How long it took.
            size: How large it was (bytes); 0 where it failed. Then it counts only if it took longer than expected:
                rubbish is refused in no time, and says nothing about the next file.
            expected: How large it was expected to be, for one that failed (bytes).
        """
        rate = self._rates.setdefault(kind, Rate())
        if size or expected is None:
            rate.note(seconds, size)
        elif seconds > rate.seconds(expected):
            rate.note(seconds, expected)

    @contextlib.contextmanager
    def under_way(self, kind: str, size: int) -> Iterator[None]:
        """Counts a piece as waiting or under way."""
        piece = time.monotonic(), self._rates[kind].seconds(size) if kind in self._rates else 0.0
        self._under_way.append(piece)
        try:
            yield
        finally:
            self._under_way.remove(piece)

    def expected_wait_s(self) -> float:
        """Time until all pieces will have been done (seconds); late where every thread takes too long."""
        now = time.monotonic()
        late = min(now - begun - cost for begun, cost in self._under_way) if len(self._under_way) >= self.places else 0
        return sum(cost for _, cost in self._under_way) / self.places + max(0.0, late)

    @property
    def each_s(self) -> float:
        """Time that one piece more of the usual kind adds (seconds)."""
        count = len(self._under_way)
        return sum(cost for _, cost in self._under_way) / count / self.places if count else 0.0
