"""What bytes are wrapped in: base64 in a JSON body, and the compression that ``Content-Encoding`` names."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Callable

from core.errors import BadRequest, PayloadTooLarge

# The type may have parameters with commas in them (``codecs=vp8,opus``); base64 has neither commas nor semicolons.
_DATA_URI = re.compile(r"data:.{0,512}?;\s*base64\s*,", re.IGNORECASE | re.DOTALL)
_OTHER_URI = re.compile(r"data:[^,]{0,512},", re.IGNORECASE)
_SPACE = b" \t\r\n\f\v"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
# Bytes that are decoded at once, four of which stand for three: others have their turn after each, in which some
# milliseconds pass. Of 32 MiB at once nothing else could run for 0.2 s, as Python's functions let no other thread run.
PIECE = 1 << 20
NOT_BASE64 = "audioBase64 is not valid base64"


def decode_base64_audio(text: str, max_bytes: int) -> bytes:
    """Decodes base64 strictly.

    White space is tolerated (mail programs and shells wrap lines), so are the URL-safe alphabet and missing padding;
    anything else outside the alphabet is an error.

    Args:
        text: The base64, possibly after a prefix such as ``data:audio/mpeg;base64,``.
        max_bytes: Largest result; checked before decoding.

    Returns:
        The bytes.

    Raises:
        BadRequest: Empty, or not base64.
        PayloadTooLarge: The result would be larger than ``max_bytes``.
    """
    content = _letters(text)
    if not content:
        raise BadRequest("audioBase64 is empty")
    if len(content) * 3 // 4 > max_bytes:
        raise PayloadTooLarge(f"the audio is larger than {max_bytes} bytes")
    if b"=" in content:  # which is valid at the end of each piece, and here it is at none
        raise BadRequest(NOT_BASE64)
    try:
        return _by_pieces(content, lambda piece: base64.b64decode(piece + b"=" * (-len(piece) % 4), validate=True))
    except (binascii.Error, ValueError):
        raise BadRequest(NOT_BASE64) from None


def _letters(text: str) -> bytes:
    """What base64 says in the usual alphabet, without prefix, white space and padding."""
    try:  # as bytes: a text is translated letter by letter, in seconds for 32 MiB, which no other thread runs in
        letters = _without_prefix(text.lstrip()).encode("ascii")
    except UnicodeEncodeError:
        raise BadRequest(NOT_BASE64) from None
    return _by_pieces(letters, lambda piece: piece.translate(_URL_SAFE, _SPACE)).rstrip(b"=")


def _by_pieces(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    return b"".join(change(data[start : start + PIECE]) for start in range(0, len(data), PIECE))


def _without_prefix(text: str) -> str:
    if match := _DATA_URI.match(text):
        return text[match.end() :]
    if _OTHER_URI.match(text):
        raise BadRequest("the data: URI of audioBase64 does not say ;base64")
    return text


COMPRESSED = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress", "dcb", "dcz"})
READ = frozenset({"gzip", "x-gzip", "deflate"})  # those that the standard library undoes
ANY_HEADER = 47  # of zlib: a window of 32 KiB, behind a header of gzip or of zlib
GZIP = b"\x1f\x8b"


class NotReadableError(ValueError):
    """It is compressed by something else, more than once, or damaged."""


class TooLargeError(ValueError):
    """There would be more bytes than allowed."""


def compressions(header: str) -> list[str]:
    """The compressions that a header names, in order.

    Object stores send whatever was stored with a file (``utf-8``, ``aws-chunked``): what is no compression counts for
    nothing.
    """
    return [name for part in header.split(",") if (name := part.strip().lower()) in COMPRESSED]


def decompress(data: bytes, header: str, limit: int) -> bytes:
    """Undoes the compression of a body.

    Args:
        data: The body.
        header: Its ``Content-Encoding``; that of a body which is not compressed at all is passed over.
        limit: Most bytes of the result; no more are made.

    Returns:
        The body without its compression.

    Raises:
        NotReadableError: It is compressed otherwise or more than once, or it is damaged; the message says which.
        TooLargeError: The result is larger than ``limit``.
    """
    found = compressions(header)
    if not found:
        return data
    if len(found) > 1 or found[0] not in READ:
        raise NotReadableError(f"it is compressed by {', '.join(found[:3])}; gzip is read")
    if found[0] != "deflate" and not data.startswith(GZIP):
        return data
    stream = zlib.decompressobj(ANY_HEADER)
    try:
        result = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise NotReadableError("its compression is damaged") from error
    if len(result) > limit:
        raise TooLargeError
    if not stream.eof or stream.unused_data.startswith(GZIP):
        raise NotReadableError("its compression is cut off, or there are several in a row")
    return result
