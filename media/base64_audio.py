"""Audio in a JSON body: base64, with or without a ``data:`` URI before it."""

from __future__ import annotations

import base64
import binascii
import re

from core.errors import BadRequest, PayloadTooLarge

# The type may have parameters with commas in them (``codecs=vp8,opus``); base64 has neither commas nor semicolons.
_DATA_URI = re.compile(r"\s*data:.{0,512}?;\s*base64\s*,", re.IGNORECASE | re.DOTALL)
_OTHER_URI = re.compile(r"\s*data:[^,]{0,512},", re.IGNORECASE)
_SPACE = str.maketrans("", "", " \t\r\n\f\v")
_URL_SAFE = str.maketrans("-_", "+/")


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
    content = _without_prefix(text).translate(_SPACE).rstrip("=")
    if not content:
        raise BadRequest("audioBase64 is empty")
    if len(content) * 3 // 4 > max_bytes:
        raise PayloadTooLarge(f"the audio is larger than {max_bytes} bytes")
    padded = content.translate(_URL_SAFE) + "=" * (-len(content) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("audioBase64 is not valid base64") from None


def _without_prefix(text: str) -> str:
    if match := _DATA_URI.match(text):
        return text[match.end() :]
    if _OTHER_URI.match(text):
        raise BadRequest("the data: URI of audioBase64 does not say ;base64")
    return text
