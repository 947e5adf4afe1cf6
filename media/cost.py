"""What the header of a file tells of what decoding it will take.

The memory for a picture, and the length of a recording. What that takes in time is estimated by what earlier pieces of
the same kind took (``scheduling.throughput``).
"""

from __future__ import annotations

import struct

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
