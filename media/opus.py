"""Opus that arrives in pieces, in Ogg or WebM as browsers record it, to mono samples: what is kept is bounded.

FFmpeg's demuxers want a file to read from, wait in it, and build indices. A live recording needs none of that: here the
packets are taken out of their pages and blocks as these arrive, and FFmpeg decodes each by itself. Beside the bytes
that were fed there is never more than one page or block, and a quarter of a second of sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from core.errors import BadRequest, PayloadTooLarge
from media.audio import blocks
from media.containers import MAX_LINKS, sniff
from media.samples import Mix, Samples, mixer

RATE = 48_000  # of what the decoder gives (Hz), whatever was recorded
CHUNK = RATE // 4  # frames that are mixed at once: shorter ones tell too little of the channels
MAX_PACKET = 48 * (1275 + 2)  # bytes: 48 frames of 2.5 ms, each of at most 1275 (RFC 6716, 3.2)
MAX_EMPTY = 1000  # pages or elements that hold no packet; recorders write some ten at the beginning
EMPTY_FOR_PACKET = 4  # and so many more for each packet; Firefox writes two
MOST_DAMAGED = 50  # packets beside as many as were good
MAX_TRACKS = 32
DAMAGED = "the stream is damaged"
NOT_OPUS = "the stream is not Opus in Ogg or WebM"

_OGG = b"OggS"  # what each page begins with
_PAGE = 27  # bytes of a page before its table of segments (RFC 3533, 6)
_CONTINUED = 1  # the flag of a page that begins within a packet
_HEAD, _TAGS = b"OpusHead", b"OpusTags"
_HEAD_SIZE = 19  # of the mapping family 0, mono or stereo (RFC 7845, 5.1)

# Matroska elements (RFC 9559): those of which the contents are read on, and those whose value is read.
_TRACK = b"\xae"
_INTO = {b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"\xa0", _TRACK}  # the first: Segment
_BLOCKS = {b"\xa3", b"\xa1"}  # a SimpleBlock, and the Block of a group
_NUMBER, _CODEC, _PRIVATE, _ENCODINGS = b"\xd7", b"\x86", b"\x63\xa2", b"\x6d\x80"
_FIELDS = {_NUMBER, _CODEC, _PRIVATE, _ENCODINGS}  # of a track
_LONGEST_FIELD = 256  # bytes
_LACED = 0x06  # flags of a block that holds several packets
_LONGEST_NAME = 4


class OpusStream:
    """Decodes one recording, piece by piece.

    Args:
        max_bytes: Largest recording.
    """

    rate = RATE

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._demuxer: _Demuxer | None = None
        self._head = b""
        self._decoder: Any = None
        self._mix: Mix | None = None
        self._frames: list[NDArray[Any]] = []
        self._count = self._good = self._bad = self._links = 0
        self._empty = MAX_EMPTY

    def feed(self, data: bytes) -> Iterator[Samples]:
        """Takes bytes, and yields float32 [about ``CHUNK``] at ``rate`` as soon as there are so many.

        Raises:
            BadRequest: It is not Opus in Ogg or WebM, or damaged.
            PayloadTooLarge: There are more bytes than allowed.
        """
        self._left -= len(data)
        if self._left < 0:
            raise PayloadTooLarge(f"the stream is larger than {self._max_bytes / (1 << 20):g} MiB")
        self._data += data
        if self._demuxer is None:
            if len(self._data) < len(_OGG):
                return
            self._demuxer = _demuxer(sniff(bytes(self._data[: len(_OGG)])))
        for head, packet in self._demuxer.packets(self._data):
            if packet is None:
                self._empty -= 1
                if self._empty < 0:
                    raise BadRequest(f"{DAMAGED}: there is hardly any sound in it")
                continue
            self._empty = min(MAX_EMPTY, self._empty + EMPTY_FOR_PACKET)
            if self._decoder is None or head != self._head:  # the first, or that of a further link of a chain
                if self._count:
                    yield self._mixed()
                self._open(head)
            self._decode(packet)
            if self._count >= CHUNK:
                yield self._mixed()

    def finish(self) -> Iterator[Samples]:
        """What is left; a page or block of which not all has arrived is lost.

        Raises:
            BadRequest: There was no sound at all, though there were bytes.
        """
        if self._count:
            yield self._mixed()
        elif self._left < self._max_bytes and not self._good:
            raise BadRequest(NOT_OPUS if self._demuxer is None else "the stream holds no sound")

    def _decode(self, packet: bytes) -> None:
        try:
            frames = self._decoder.decode(av.Packet(packet)) if packet else None  # none would end the decoder
        except (av.FFmpegError, ValueError):
            frames = None
        if frames is None:
            self._bad += 1
            if self._bad > self._good + MOST_DAMAGED:
                raise BadRequest(f"{DAMAGED}: most of it could not be decoded")
            return
        self._good += 1
        for block in (block for frame in frames for block in blocks(frame)):
            self._frames.append(block)
            self._count += len(block)

    def _open(self, head: bytes) -> None:
        if len(head) < _HEAD_SIZE or not head.startswith(_HEAD) or head[9] not in (1, 2) or head[18]:
            raise BadRequest("the stream's Opus header is damaged, or of more than two channels")
        self._links += 1
        if self._links > MAX_LINKS:
            raise BadRequest(f"{DAMAGED}: it begins anew more than {MAX_LINKS} times")
        self._head = head
        self._mix = mixer(RATE, head[9])
        self._decoder = av.CodecContext.create("libopus", "r")
        self._decoder.extradata = head[:_HEAD_SIZE]

    def _mixed(self) -> Samples:
        assert self._mix is not None  # noqa: S101 - there are frames, so that it was opened
        mixed = self._mix(np.concatenate(self._frames))
        self._frames, self._count = [], 0
        return mixed


Packet = tuple[bytes, bytes | None]  # the header of its stream, and itself; None for what holds none


class _Demuxer(Protocol):
    """Takes packets out of a container."""

    def packets(self, data: bytearray) -> Iterator[Packet]:
        """Yields what whole pages or elements hold; they leave ``data``.

        Raises:
            BadRequest: It is damaged.
        """


def _demuxer(container: str) -> _Demuxer:
    if container == "ogg":
        return _Ogg()
    if container == "webm":
        return _WebM()
    raise BadRequest(NOT_OPUS)


class _Ogg:
    """Pages of the stream of Opus, and after it of the next link of a chain."""

    def __init__(self) -> None:
        self._serial = b""
        self._head = b""
        self._packet = bytearray()
        self._is_tags = False  # what goes on is the packet of tags, of any length, which is not kept

    def packets(self, data: bytearray) -> Iterator[Packet]:
        """As ``_Demuxer.packets``."""
        while len(data) >= _PAGE:
            if not data.startswith(_OGG):
                raise BadRequest(f"{DAMAGED}: no Ogg page where one should begin")
            begin = _PAGE + data[_PAGE - 1]
            table = bytes(data[_PAGE:begin])
            if len(data) < begin + sum(table):
                return
            flags, serial, body = data[5], bytes(data[14:18]), bytes(data[begin : begin + sum(table)])
            del data[: begin + sum(table)]
            yield b"", None
            if body.startswith(_HEAD):
                self._serial, self._packet, self._is_tags = serial, bytearray(), False
            if serial == self._serial and self._serial:
                yield from self._of_page(table, body, continued=bool(flags & _CONTINUED))

    def _of_page(self, table: bytes, body: bytes, *, continued: bool) -> Iterator[Packet]:
        if not continued:
            self._packet, self._is_tags = bytearray(), False
        place = 0
        for size in table:  # a packet ends with the first segment of less than 255 bytes
            self._packet += body[place : place + size]
            place += size
            self._is_tags = self._is_tags or self._packet.startswith(_TAGS)
            if self._is_tags:
                self._packet = bytearray()
            if len(self._packet) > MAX_PACKET:
                raise BadRequest(f"{DAMAGED}: a packet is larger than any of Opus")
            if size == 255:
                continue
            packet, is_tags = bytes(self._packet), self._is_tags
            self._packet, self._is_tags = bytearray(), False
            if packet.startswith(_HEAD):
                self._head = packet
            elif not is_tags:
                yield self._head, packet


class _WebM:
    """Elements, read flat: of those that hold others only the heads are passed over, whatever length they state."""

    def __init__(self) -> None:
        self._tracks: list[dict[bytes, bytes]] = []
        self._skipped = 0  # bytes of an element that is not read and has not wholly arrived

    def packets(self, data: bytearray) -> Iterator[Packet]:
        """As ``_Demuxer.packets``."""
        while True:
            gone = min(self._skipped, len(data))
            del data[:gone]
            self._skipped -= gone
            if self._skipped or (found := _element(data)) is None:
                return
            name, begin, size = found
            if len(self._tracks) > MAX_TRACKS:
                raise BadRequest(f"{DAMAGED}: it has more than {MAX_TRACKS} tracks")
            if name in _BLOCKS and size > MAX_PACKET:
                raise BadRequest(f"{DAMAGED}: a packet is larger than any of Opus")
            is_read = name in _BLOCKS or (name in _FIELDS and size <= _LONGEST_FIELD)
            if is_read and len(data) < begin + size:
                return
            yield b"", None
            value = bytes(data[begin : begin + size]) if is_read else b""
            del data[: begin + len(value)]
            if name in _BLOCKS:
                yield from self._of_block(value)
            elif name in _INTO:
                self._tracks += [{}] if name == _TRACK else []
            elif not is_read:
                self._skipped = size
            elif self._tracks:
                self._tracks[-1][name] = value

    def _of_block(self, value: bytes) -> Iterator[Packet]:
        track = next((track for track in self._tracks if track.get(_CODEC, b"").rstrip(b"\0") == b"A_OPUS"), None)
        if track is None:
            raise BadRequest("the stream has no track of Opus")
        if _ENCODINGS in track:
            raise BadRequest("the stream is compressed or encrypted")
        number = 9 - value[0].bit_length() if value and value[0] else 1  # length of the number of its track
        if _number(value[:number]) != int.from_bytes(track.get(_NUMBER, b"")):
            return
        if len(value) < number + 3 or value[number + 2] & _LACED:
            raise BadRequest(f"{DAMAGED}: a block is too short, or holds several packets")
        yield track.get(_PRIVATE, b""), value[number + 3 :]


def _element(data: bytearray) -> tuple[bytes, int, int] | None:
    """The next element: its name, where its value begins, and its size; None where not all of that has arrived.

    Raises:
        BadRequest: It has no name, or a size that must not be unknown is.
    """
    if not data:
        return None
    length = 9 - data[0].bit_length()
    if length > _LONGEST_NAME:
        raise BadRequest(f"{DAMAGED}: no element where one should begin")
    if len(data) <= length:
        return None
    name, first = bytes(data[:length]), data[length]
    begin = length + (9 - first.bit_length() if first else 1)
    if len(data) < begin:
        return None
    stated = data[length:begin]
    size = _number(stated)
    is_unknown = not first or size == (1 << 7 * len(stated)) - 1
    if is_unknown and name not in _INTO:
        raise BadRequest(f"{DAMAGED}: an element has no length")
    return name, begin, size


def _number(data: bytes | bytearray) -> int:
    """A number of which the highest bit that is set says how long it is."""
    return int.from_bytes(data) & ((1 << 7 * len(data)) - 1)
