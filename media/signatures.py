"""Files identified by their first bytes where guessing is wrong: beside raw PCM, and for words about what is not read.

Any bytes are raw PCM. Long signatures hardly ever begin a recording, but the sync words of MPEG and AAC streams are
small negative samples, so that these count only where whole frames follow one another.
"""

from __future__ import annotations

import re

from media.containers import PICTURES, UNKNOWN, sniff

FRAMES = 3  # that follow one another in an MPEG or AAC stream; each says again what 11 bits and more must be
TEXT_BYTES = 1024  # that are looked at; so many printable bytes in a row are no samples of two bytes and more

_MPEG_1, _LAYER_1, _LAYER_2, _LAYER_3 = 3, 3, 2, 1  # as the header has them
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz, by version
# Kilobits a second by the four bits of the header, for each version and layer.
_KILOBITS = {
    (True, _LAYER_1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, _LAYER_2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, _LAYER_3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, _LAYER_1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, _LAYER_2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, _LAYER_3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}

# What callers send by mistake, and which no decoder here reads: the pattern of its beginning, and its name.
_NO_SOUND = (
    (rb"RIFF.{4}AVI ", "an AVI film"),
    (rb"RIFF.{4}WEBP", "a WebP picture"),
    (rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", "a HEIC picture"),
    (rb".{4}ftypavi[fs]", "an AVIF picture"),
    (rb"II\*\0|MM\0\*", "a TIFF picture"),
    (rb"\xff\xd8\xff", "a JPEG picture"),
    (rb"\x89PNG\r\n", "a PNG picture"),
    (rb"GIF8[79]a", "a GIF picture"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file (WMA, WMV)"),
    (rb"FLV\x01", "a Flash film"),
    (rb"wvpk", "a WavPack file"),
    (rb"MAC ", "a Monkey's Audio file"),
    (rb"MThd", "a MIDI file, which holds notes and no sound"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"\x1f\x8b\x08", "compressed by gzip"),
    (rb"%PDF-", "a PDF document"),
    (rb"(?i:\s{0,1024}<(?:!doctype|html)\b)", "an HTML page"),  # bounded: 32 MB of blanks took 0.1 s of the event loop
)
_READ_AS_PICTURES = {f"a {one.name} picture" for one in PICTURES}
_TEXT = re.compile(rb"[\x20-\x7e\s]+")
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), name) for pattern, name in _NO_SOUND)


def recognise(data: bytes) -> str:
    """Tells an audio container among bytes that may as well be raw PCM.

    Args:
        data: The whole body.

    Returns:
        A container as :func:`media.containers.sniff` names it, or ``unknown``.
    """
    if data[:1] == b"\xff":
        return _framed(data)
    return sniff(data)


def not_sound(data: bytes) -> str | None:
    """Says what a file is if it is one of the usual ones that hold no sound that can be read here.

    Args:
        data: The file, or its first 32 bytes.

    Returns:
        Its name with an article, for a sentence.
    """
    return next((name for pattern, name in _PATTERNS if pattern.match(data)), None)


def not_picture(data: bytes) -> str | None:
    """Says what a file is if it is one of the usual ones that hold no picture that can be read here.

    Args:
        data: The file, or its first 32 bytes.

    Returns:
        Its name with an article, for a sentence.
    """
    kind = not_sound(data)
    if kind is not None:
        return None if kind in _READ_AS_PICTURES else kind
    container = sniff(data)
    return None if container == UNKNOWN else f"a recording or film ({container})"


def is_text(data: bytes) -> bool:
    """Says whether bytes begin as a text does (JSON, base64, the fields of a form): printable ASCII and white space."""
    return bool(_TEXT.fullmatch(data, 0, TEXT_BYTES))


def _framed(data: bytes) -> str:
    for name, length_of in (("mp3", _mpeg_length), ("aac", _adts_length)):
        place = count = 0
        while count < FRAMES and (length := length_of(data[place : place + 6])):
            place += length
            count += 1
        if count == FRAMES:
            return name
    return UNKNOWN


def _mpeg_length(header: bytes) -> int:
    """Bytes of the MPEG audio frame that begins here; 0 where none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bits, rate = header[2] >> 4, header[2] >> 2 & 3
    if version not in _MPEG_RATES or layer == 0 or bits in (0, 15) or rate == 3:
        return 0
    per_second = 1000 * _KILOBITS[version == _MPEG_1, layer][bits]
    padding = header[2] >> 1 & 1
    if layer == _LAYER_1:
        return (12 * per_second // _MPEG_RATES[version][rate] + padding) * 4
    coefficient = 72 if layer == _LAYER_3 and version != _MPEG_1 else 144
    return coefficient * per_second // _MPEG_RATES[version][rate] + padding


def _adts_length(header: bytes) -> int:
    """Bytes of the ADTS frame that begins here; 0 where none does."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else 0  # the header itself
