"""What ``Content-Encoding`` says of a body: often nothing, sometimes that it is compressed."""

from __future__ import annotations

import zlib

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
        NotReadableError: As its words say.
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
