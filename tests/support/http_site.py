"""A real HTTP server on a free local port, that may misbehave in any way: handlers write raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Site:
    """A running server.

    Attributes:
        port: Its port.
        requests: Every request head it got, as text.
    """

    port: int = 0
    requests: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """An address of this server."""
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for."""
        return [head.split()[1] for head in self.requests]


@contextlib.asynccontextmanager
async def serve(
    handlers: Mapping[str, Handler | bytes], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Site]:
    """Serves raw answers by path."""
    site = Site()
    under_way: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        site.requests.append(head)
        handler = handlers.get(head.split()[1].split("?")[0], NOT_FOUND)
        if isinstance(handler, bytes):
            writer.write(handler)
        else:
            await handler(writer)
        await writer.drain()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(connection, host, 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def ok(body: bytes, *headers: str) -> bytes:
    """A plain answer of 200."""
    return reply(200, body, *headers)


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    """An answer with a true content length."""
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str, status: int = 302) -> bytes:
    """An answer that sends the client elsewhere."""
    return reply(status, b"", f"Location: {location}")


def raw(head: str, body: bytes = b"") -> bytes:
    """An answer of any shape, true or not."""
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


def dripping(length: int, piece: bytes, pause_s: float) -> Handler:
    """A body that is sent piece by piece, with a pause after each."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(raw(f"HTTP/1.1 200 OK\nContent-Length: {length}"))
        for _ in range(length // len(piece)):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return send
