"""Undoes gzip and deflate of a request's body while it is read."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from core.errors import BadRequest, PayloadTooLarge, ServiceError
from media.encodings import ANY_HEADER, GZIP, READ, compressions

PIECE = 1 << 18  # bytes that are made at once: less than a millisecond of the event loop
ZLIB = b"\x78"  # of the format that HTTP calls deflate
DAMAGED = "the compression of the body is damaged or cut off, or there are several in a row"

Refuse = Callable[[type[ServiceError], str], ServiceError]  # gives what is to be raised


def beginnings(scope: Scope) -> tuple[bytes, ...]:
    """First bytes of a body in the compression that a request's head names; none where it is not undone here."""
    found = compressions(Headers(scope=scope).get("content-encoding", ""))
    if len(found) != 1 or found[0] not in READ:
        return ()
    return (GZIP, ZLIB) if found[0] == "deflate" else (GZIP,)


def as_plain(scope: Scope) -> None:
    """Takes out of a request's head what holds for the compressed body only."""
    left_out = (b"content-encoding", b"content-length")
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name.lower() not in left_out]


class Inflated:
    """The receiving channel of a request, without the compression of its body.

    A body that begins otherwise passes unchanged: some clients name a compression and send a file without it.

    Args:
        receive: The channel as it is.
        begins: Of ``beginnings``.
        limit: Most bytes of the result; no more are made.
        hold: Is told of the bytes of every piece.
        refuse: Makes the error that ends the request.
    """

    def __init__(
        self, receive: Receive, begins: tuple[bytes, ...], limit: int, hold: Callable[[int], None], refuse: Refuse
    ) -> None:
        self._receive = receive
        self._beginnings = begins
        self._limit = limit
        self._hold = hold
        self._refuse = refuse
        self._stream = zlib.decompressobj(ANY_HEADER)
        self._waiting = b""  # as it was sent, and not looked at yet
        self._is_last = False  # whether what waits is the rest of the body
        self._is_full = False  # whether the last piece was a whole one, so that the stream may hold more
        self._passes = False  # whether all that comes is handed on as it is
        self._made: int | None = None  # bytes so far, once the body was seen to be compressed
        self._behind = b""  # the first bytes after the end of the compressed stream

    async def __call__(self) -> Message:
        """The next piece of the body, or what comes in its place.

        Raises:
            ServiceError: 400 for a damaged body, 413 for one that is too large without its compression.
        """
        while not self._passes:
            if not (self._is_full or self._waiting) or self._made is None:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._waiting += message.get("body", b"")
                self._is_last = not message.get("more_body", False)
            if self._made is None and not self._begins():
                continue
            piece = self._waiting if self._passes else self._inflated()
            is_end = self._is_last and (self._passes or not (self._is_full or self._waiting))
            if is_end and not self._passes and not self._stream.eof:
                raise self._refuse(BadRequest, DAMAGED)
            self._passes |= is_end
            if piece or is_end:
                return {"type": "http.request", "body": piece, "more_body": not is_end}
        return await self._receive()

    def _begins(self) -> bool:
        """Looks at the first bytes; whether there were enough of them."""
        if len(self._waiting) < len(GZIP) and not self._is_last:
            return False
        self._made = 0
        self._passes = not self._waiting.startswith(self._beginnings)
        return True

    def _inflated(self) -> bytes:
        """Inflates what waits, ``PIECE`` bytes at most."""
        if self._stream.eof:  # zlib would keep what follows, and copy all of it for each piece that comes
            made, follows = b"", self._waiting
            self._waiting, self._is_full = b"", False
        else:
            made = self._decompressed()
            follows = self._stream.unused_data
        self._behind = (self._behind + follows)[: len(GZIP)]
        if self._behind == GZIP:
            raise self._refuse(BadRequest, DAMAGED)
        self._hold(len(made))
        return made

    def _decompressed(self) -> bytes:
        """The next piece of the stream."""
        try:
            made = self._stream.decompress(self._waiting, PIECE)
        except zlib.error as error:
            raise self._refuse(BadRequest, DAMAGED) from error
        self._waiting, self._is_full = self._stream.unconsumed_tail, len(made) == PIECE
        self._made = (self._made or 0) + len(made)
        if self._made > self._limit:
            raise self._refuse(PayloadTooLarge, f"the body is larger than {self._limit / (1 << 20):g} MiB")
        return made
