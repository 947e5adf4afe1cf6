"""Connections from callers: those that say nothing are closed in time, and first of all when descriptors run out.

uvicorn, which BentoML runs, waits for the head of a request for ever, and keeps a connection on which a request was
answered for 5 s. Its table of protocols is told of the one here before it makes its server.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import os
import resource
from collections.abc import Iterable
from typing import Any, ClassVar

from uvicorn.config import HTTP_PROTOCOLS, WS_PROTOCOLS, Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

log = logging.getLogger("bundle.connections")

LOOK_EVERY_S = 1.0
# Descriptors left free for what is not a caller's connection: runners, downloads, files. Of a small limit, an eighth.
SPARE, SPARE_PART = 64, 8
CLOSED_AT_ONCE = 16  # to look for the oldest costs a look at all of them
LOG_EVERY_S = 10.0
MAX_MESSAGE = 1 << 20  # of a WebSocket (bytes): 33 s of 16-bit samples at 16 kHz


class Connection(HttpToolsProtocol):
    """A caller's connection.

    Attributes:
        head_s: Longest time for the head of a request, from its first byte or the connection (seconds).
        keep_s: How long it is kept after an answer (seconds).
        silent_since: Since when nothing has been asked on it, on the loop's clock; None while a request is under way.
    """

    head_s: ClassVar[float] = 15.0
    keep_s: ClassVar[float] = 75.0
    watch: ClassVar[Watch | None] = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.timeout_keep_alive = self.keep_s  # type: ignore[assignment]  # uvicorn says int, and hands it to the loop
        self.silent_since: float | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it waits for a further request, after an answer."""
        return self.timeout_keep_alive_task is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a head."""
        super().connection_made(transport)
        self.silent_since = self.loop.time()
        if Connection.watch is None or Connection.watch.loop is not self.loop:
            Connection.watch = Watch(self.loop, self.connections)
        Connection.watch.ensure_room()

    def data_received(self, data: bytes) -> None:
        """Reads; of a connection that was kept, the time for the head begins."""
        was_kept = self.is_kept
        super().data_received(data)
        if was_kept and self.silent_since is not None:
            self.silent_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Ends the wait for a head."""
        super().on_headers_complete()
        self.silent_since = None

    def on_response_complete(self) -> None:
        """Begins to wait for a further request."""
        super().on_response_complete()
        if self.is_kept:
            self.silent_since = self.loop.time()


class Watch:
    """Looks at all connections of a process.

    Args:
        loop: Its loop.
        connections: All that are open, kept up to date by uvicorn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        self.loop = loop
        self._connections = connections
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = limit - min(SPARE, limit // SPARE_PART)
        self._others = 0
        self._closed = 0
        self._logged_at = -LOG_EVERY_S
        self._look()

    def ensure_room(self) -> None:
        """Closes the silent connections that are oldest, where descriptors run out; those without a head first."""
        if self._others + len(self._connections) < self._most:
            return
        silent = [one for one in self._silent() if not one.transport.is_closing()]
        self._close(heapq.nsmallest(CLOSED_AT_ONCE, silent, key=lambda one: (one.is_kept, one.silent_since)))
        now = self.loop.time()
        if self._closed and now - self._logged_at >= LOG_EVERY_S:
            log.warning("few descriptors are left: silent connections were closed", extra={"closed": self._closed})
            self._closed, self._logged_at = 0, now

    def _look(self) -> None:
        now = self.loop.time()
        late = [one for one in self._silent() if not one.is_kept and now - (one.silent_since or now) > one.head_s]
        for one in late:
            one.transport.abort()
        if late:
            log.info("connections without the head of a request were closed", extra={"closed": len(late)})
        with contextlib.suppress(OSError):  # without /proc the spare ones must do
            self._others = max(0, len(os.listdir("/proc/self/fd")) - len(self._connections))  # noqa: PTH208 - no paths
        self.loop.call_later(LOOK_EVERY_S, self._look)

    def _silent(self) -> Iterable[Connection]:
        return [one for one in self._connections if getattr(one, "silent_since", None) is not None]

    def _close(self, connections: Iterable[Connection]) -> None:
        for one in connections:
            one.transport.abort()
            self._connections.discard(one)
            self._closed += 1


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket, whose messages are bounded: uvicorn would keep 16 MiB of each."""

    def __init__(self, config: Config, *args: Any, **options: Any) -> None:
        config.ws_max_size = MAX_MESSAGE
        config.ws_per_message_deflate = False  # samples hardly compress
        super().__init__(config, *args, **options)


def install(head_s: float, keep_s: float) -> None:
    """Makes uvicorn use ``Connection``, in a process that is about to run it.

    Args:
        head_s: As of ``Connection``.
        keep_s: As of ``Connection``.
    """
    Connection.head_s, Connection.keep_s = head_s, keep_s
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"
    WS_PROTOCOLS["auto"] = f"{__name__}:{Socket.__name__}"
