"""Upper bounds of the memory that decoding a file takes beside the file itself; they are reserved before decoding."""

from __future__ import annotations

import math
import struct

from media.containers import sniff
from media.image import MAX_PIXELS, MAX_SIDE, TILE_SIDE, read_header

FIXED_BYTES = 8 << 20  # the decoder's own tables, and what it reads of the file at once
SOUND_BYTES = 12 << 20  # the same of FFmpeg, which keeps some packets and frames; 9.4 MB were seen, of AAC
SMALL_BYTES = 4  # a pixel of the picture scaled by a whole number
TILE_BYTES = 16  # a pixel of a tile: cut out, with transparency, on its background, as RGB
RESULT_BYTES = 4 + 4 + 3  # a pixel of the result: as it is scaled, as it is turned, as an array
SAMPLE_BYTES = 8  # a sample of the answer: float32, twice while the blocks are joined

# Most seconds that a byte of a container can hold. Of the others none is known: silence in FLAC or Opus takes some
# bytes a second, and MP4 may state any number.
PLAIN_WAV = {1, 3, 6, 7, 0xFFFE}  # PCM, floats and the two laws: a whole number of bits for each sample
SECONDS_PER_BYTE = {"mp3": 1 / 1000}  # 8 kbit/s is the least rate of MPEG audio


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


def recording_bytes(data: bytes, rate: int, max_seconds: float) -> int:
    """Tells from its header what ``media.audio.decode`` will take for a recording at most (bytes).

    Where the header tells no length that must be true, this is what the longest recording takes.

    Args:
        data: The file.
        rate: Of the answer (Hz).
        max_seconds: Longest recording that is decoded, or the length at which it is cut.
    """
    container = sniff(data)
    longest = _wav_seconds(data) if container == "wav" else len(data) * SECONDS_PER_BYTE.get(container, math.inf)
    return SOUND_BYTES + round(min(longest, max_seconds) * rate * SAMPLE_BYTES)


def _wav_seconds(data: bytes) -> float:
    """Longest time that the bytes of a WAV file can hold, by the first layout that it states."""
    place = data.find(b"fmt ")
    layout = data[place + 8 : place + 24]
    if place < 0 or len(layout) < 16 or data[:4] != b"RIFF":
        return math.inf
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", layout)
    if tag not in PLAIN_WAV or not (rate and channels and bits):
        return math.inf
    return 8 * len(data) / int(rate * channels * bits)
