"""Makes recordings whose headers lie: a few hundred bytes each, in every container, with any numbers in them."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

OGG_POLYNOMIAL, FLAC_FRAME, FLAC_HEADER = 0x04C11DB7, 0x8005, 0x07


@functools.cache
def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> (bits - 1) else 0)
            value &= (1 << bits) - 1
        table.append(value)
    return table


def crc(data: bytes, polynomial: int, bits: int) -> int:
    """A cyclic redundancy check, most significant bit first, beginning with zero."""
    table, value, mask = _table(polynomial, bits), 0, (1 << bits) - 1
    for byte in data:
        value = (value << 8 & mask) ^ table[(value >> (bits - 8)) ^ byte]
    return value


# --- Ogg (RFC 3533)


def ogg(packets: Sequence[tuple[int, bytes]], serial: int = 1) -> bytes:
    """A stream of packets with their granule positions, as many pages each as they need."""
    out, sequence = b"", 0
    for index, (granule, packet) in enumerate(packets):
        sizes, place, continued = bytes([255] * (len(packet) // 255) + [len(packet) % 255]), 0, 0
        while sizes:
            here, sizes = sizes[:255], sizes[255:]
            flags = continued | 2 * (sequence == 0) | 4 * (index == len(packets) - 1 and not sizes)
            position = -1 if sizes else granule
            head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", position, serial, sequence, 0)
            page = head + bytes([len(here)]) + here + packet[place : place + sum(here)]
            out += page[:22] + struct.pack("<I", crc(page, OGG_POLYNOMIAL, 32)) + page[26:]
            place, sequence, continued = place + sum(here), sequence + 1, 1
    return out


@dataclass(frozen=True)
class FlacBlock:
    """A FLAC frame of silence: samples per channel, rate (Hz; above 65,535 in tens) and channels that it states."""

    size: int
    rate: int
    channels: int = 1

    def frame(self, number: int) -> bytes:
        """Its bytes."""
        code, rate = (13, self.rate) if self.rate < 1 << 16 else (14, self.rate // 10)
        head = b"\xff\xf8" + bytes([7 << 4 | code, (self.channels - 1) << 4 | 4 << 1]) + chr(number).encode()
        head += struct.pack(">HH", self.size - 1, rate & 0xFFFF)
        body = head + bytes([crc(head, FLAC_HEADER, 8)]) + bytes(3 * self.channels)
        return body + struct.pack(">H", crc(body, FLAC_FRAME, 16))


def _streaminfo(rate: int, channels: int, total: int) -> bytes:
    packed = (rate & 0xFFFFF) << 44 | (channels - 1) << 41 | 15 << 36 | total & ((1 << 36) - 1)
    return struct.pack(">HH", 16, 65535) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)


def flac(rate: int, channels: int, total: int, blocks: Sequence[FlacBlock]) -> bytes:
    """A FLAC file: what its header states, and frames that may state something else."""
    frames = b"".join(block.frame(number) for number, block in enumerate(blocks))
    return b"fLaC\x80\0\0\x22" + _streaminfo(rate, channels, total) + frames


def ogg_flac(rate: int, channels: int, blocks: Sequence[FlacBlock]) -> bytes:
    """The same in Ogg."""
    first = b"\x7fFLAC\1\0\0\1fLaC\0\0\0\x22" + _streaminfo(rate, channels, 0)
    packets, granule = [(0, first), (0, b"\x84\0\0\x08" + bytes(8))], 0
    for number, block in enumerate(blocks):
        granule += block.size
        packets.append((granule, block.frame(number)))
    return ogg(packets)


def ogg_opus(channels: int, streams: int, gain: int = 0) -> bytes:
    """Opus of some packets of silence, in so many streams."""
    mapping = b"\0" if channels < 3 else bytes([255, streams, 0, *(index % streams for index in range(channels))])
    head = b"OpusHead\1" + bytes([channels]) + struct.pack("<HIh", 0, 48_000, gain) + mapping
    packet = b"\xfc\0" * (streams - 1) + b"\xfc"
    return ogg([(0, head), (0, b"OpusTags" + bytes(8)), *((960 * (n + 1), packet) for n in range(20))])


class _Bits:
    def __init__(self) -> None:
        self._value = self._size = 0

    def put(self, *fields: tuple[int, int]) -> None:
        """Appends values, each with its number of bits, least significant bit first."""
        for value, bits in fields:
            self._value |= (value & ((1 << bits) - 1)) << self._size
            self._size += bits

    def bytes(self) -> bytes:
        """All of them."""
        return self._value.to_bytes((self._size + 7) // 8, "little")


def ogg_vorbis(rate: int, channels: int, books: int, depth: int, dimensions: int) -> bytes:
    """Vorbis with so many codebooks (1 to 256) of 2 ** depth entries each, in some bytes for each."""
    bits, entries = _Bits(), 1 << depth
    bits.put((books - 1, 8))
    for _ in range(books):
        bits.put((0x564342, 24), (dimensions, 16), (entries, 24), (1, 1), (depth - 1, 5), (entries, depth + 1))
        values = next(n for n in range(entries, 0, -1) if n**dimensions <= entries)
        bits.put((1, 4), (0, 32), (788 << 21 | 1, 32), (0, 4), (0, 1), (0, values))
    bits.put((0, 6), (0, 16), (0, 6), (1, 16), (0, 5), (0, 2), (0, 4))  # one time, one floor
    bits.put((0, 6), (0, 16), (0, 24), (0, 24), (0, 24), (0, 6), (0, 8), (0, 3), (0, 1))  # one residue
    bits.put((0, 6), (0, 16), (0, 1), (0, 1), (0, 2), (0, 8), (0, 8), (0, 8), (0, 6), (0, 1), (0, 40), (1, 1))
    setup = b"\5vorbis" + bits.bytes()
    head = b"\1vorbis" + struct.pack("<IBIIIIBB", 0, channels, rate, 0, 0, 0, 0xB8, 1)
    sound = [(512 * (n + 1), b"\0\0\0") for n in range(20)]
    return ogg([(0, head), (0, b"\3vorbis" + bytes(8) + b"\1"), (0, setup), *sound])


# --- Matroska (RFC 9559)


def element(name: str, body: bytes | int) -> bytes:
    """An element with a size of eight bytes."""
    content = body if isinstance(body, bytes) else body.to_bytes(max(1, (body.bit_length() + 7) // 8), "big")
    return bytes.fromhex(name) + b"\1" + len(content).to_bytes(7, "big") + content


def matroska(
    rate: float,
    channels: int,
    packets: Sequence[bytes],
    algorithm: int | None = None,
    seconds: float = 0.0,
    blocks: int = 1,
) -> bytes:
    """8-bit sound in equal blocks of at most 256 packets each, by a compression if one is named."""
    audio = element("b5", struct.pack(">d", rate)) + element("9f", channels) + element("6264", 8)
    encoding = (
        b"" if algorithm is None else element("6d80", element("6240", element("5034", element("4254", algorithm))))
    )
    track = element("d7", 1) + element("83", 2) + element("86", b"A_PCM/INT/LIT") + element("e1", audio) + encoding
    info = element("2ad7b1", 1_000_000) + element("4489", struct.pack(">d", seconds * 1000))
    sizes = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets[:-1])
    block = b"\x81\0\0\2" + bytes([len(packets) - 1]) + sizes + b"".join(packets)
    cluster = element("1f43b675", element("e7", 0) + element("a3", block) * blocks)
    segment = element("1549a966", info) + element("1654ae6b", element("ae", track)) + cluster
    return element("1a45dfa3", element("4282", b"webm")) + element("18538067", segment)


# --- MP4 (ISO 14496-12)


def box(name: bytes, *parts: bytes) -> bytes:
    """A box."""
    return struct.pack(">I4s", 8 + sum(map(len, parts)), name) + b"".join(parts)


def _aac(channels: int, rate: int) -> bytes:
    config = b"\x03\x19\0\1\0\x04\x11\x40\x15" + bytes(11) + b"\x05\x02\x12\x10\x06\x01\x02"
    sound = struct.pack(">HHHHI", channels, 16, 0, 0, (rate << 16) & 0xFFFFFFFF)
    return box(b"mp4a", bytes(6), b"\0\1", bytes(8), sound, box(b"esds", bytes(4), config))


def alac(frame: int, channels: int, rate: int) -> bytes:
    """The description of an ALAC track with frames of so many samples."""
    cookie = struct.pack(">IBBBBBBHIII", frame, 0, 16, 40, 10, 14, channels, 255, 0, 0, rate)
    sound = struct.pack(">HHHHI", channels, 16, 0, 0, 0)
    return box(b"alac", bytes(6), b"\0\1", bytes(8), sound, box(b"alac", bytes(4), cookie))


def mp4(tracks: int, samples: int, rate: int = 44_100, channels: int = 2, entry: bytes = b"", run: int = 0) -> bytes:
    """Tracks that state an index of so many samples each, or a fragment with a run of so many."""

    def track(number: int) -> bytes:
        tables = box(
            b"stbl",
            box(b"stsd", struct.pack(">II", 0, 1), entry or _aac(channels, rate)),
            box(b"stts", struct.pack(">IIII", 0, 1, samples, 1)),
            box(b"ctts", struct.pack(">IIII", 0, 1, samples, 0)),
            box(b"stsc", struct.pack(">IIIII", 0, 1, 1, max(samples, 1), 1)),
            box(b"stsz", struct.pack(">III", 0, 1, samples)),
            box(b"stco", struct.pack(">III", 0, 1, 40)),
        )
        times = box(b"mdhd", bytes(12), struct.pack(">II", rate, samples), bytes(4))
        media = box(b"mdia", times, box(b"hdlr", bytes(8), b"soun", bytes(13)), box(b"minf", tables))
        return box(b"trak", box(b"tkhd", bytes(12), struct.pack(">I", number), bytes(68)), media)

    numbers = range(1, tracks + 1)
    parts = [box(b"mvhd", bytes(12), struct.pack(">II", rate, samples), bytes(80)), *map(track, numbers)]
    file = box(b"ftyp", b"M4A \0\0\0\0isom")
    if not run:
        return file + box(b"mdat", bytes(4000)) + box(b"moov", *parts)
    defaults = [box(b"trex", bytes(4), struct.pack(">IIIII", number, 1, 1, 1, 0)) for number in numbers]
    runs = [
        box(b"traf", box(b"tfhd", struct.pack(">II", 0x020000, number)), box(b"trun", struct.pack(">III", 1, run, 100)))
        for number in numbers
    ]
    return file + box(b"moov", *parts, box(b"mvex", *defaults)) + box(b"moof", box(b"mfhd", bytes(8)), *runs)


# --- WAV, AIFF, AU, CAF, MP3 and AAC


def wav(rate: int, channels: int, bits: int, size: int, tag: int = 1, align: int | None = None) -> bytes:
    """A WAV header that states any numbers, and a little data."""
    frame = channels * bits // 8 if align is None else align
    layout = struct.pack("<HHIIHH", tag, channels, rate, (rate * frame) & 0xFFFFFFFF, frame & 0xFFFF, bits)
    sound = b"fmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", size) + bytes(4096)
    return b"RIFF" + struct.pack("<I", size) + b"WAVE" + sound


def aiff(rate: int, channels: int, bits: int, frames: int) -> bytes:
    """An AIFF header, with its rate as an 80-bit float."""
    shift = 63 - (max(rate, 1).bit_length() - 1)
    stated = struct.pack(">HQ", 16383 + 63 - shift, max(rate, 1) << shift)
    common = struct.pack(">4sIHIH", b"COMM", 18, channels, frames, bits) + stated
    sound = struct.pack(">4sIII", b"SSND", 4104, 0, 0) + bytes(4096)
    return b"FORM" + struct.pack(">I", 4 + len(common + sound)) + b"AIFF" + common + sound


def au(rate: int, channels: int, encoding: int, size: int) -> bytes:
    """A Sun audio header."""
    return struct.pack(">4sIIIII", b".snd", 24, size, encoding, rate, channels) + bytes(4096)


def caf(rate: float, channels: int, packet_bytes: int, packet_frames: int, bits: int) -> bytes:
    """A Core Audio header."""
    layout = struct.pack(">d4sIIIII", rate, b"lpcm", 0, packet_bytes, packet_frames, channels, bits)
    return (
        b"caff\0\1\0\0" + struct.pack(">4sq", b"desc", 32) + layout + struct.pack(">4sqI", b"data", -1, 0) + bytes(4096)
    )


def id3(pictures: int, size: int, name: bytes = b"APIC") -> bytes:
    """An ID3 tag of pictures that are compressed a thousandfold."""

    def sevens(number: int) -> bytes:
        return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))

    packer = zlib.compressobj(9)
    body = packer.compress(b"\0image/png\0\3\0" + bytes(size)) + packer.flush()
    frame = struct.pack(">I", size + 13) + body
    frames = (name + sevens(len(frame)) + b"\0\x09" + frame) * pictures
    return b"ID3\4\0\0" + sevens(len(frames)) + frames


def adts(index: int, channels: int, length: int) -> bytes:
    """A header of an AAC frame that states a rate (by its index), channels and a length."""
    bits = 0xFFF << 44 | 1 << 40 | 1 << 38 | index << 34 | channels << 30 | length << 13 | 0x7FF << 2
    return bits.to_bytes(7, "big")
