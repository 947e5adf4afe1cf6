"""Connections from callers: silent ones are closed after a time, abusive ones at once.

uvicorn, which BentoML runs, waits for the head of a request for ever, and keeps a connection on which a request was
answered for 5 s. It bounds neither the head of a request, nor how many are sent before the first is answered, nor
chunks of a byte: eight connections took gigabytes within seconds, or held up all others. ``install`` replaces its
protocols by those of this module, before it makes its server.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import math
import os
import resource
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
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
# Of a request: bytes of its head, or of anything else that is neither head nor body (trailers, extensions of chunks).
MAX_HEAD, MAX_HEADERS = 1 << 16, 256
MAX_AHEAD = 16  # requests that are sent before the one under way is answered; browsers and most clients send none
# A chunk of a body costs the event loop 5 us, however short it is: after the first ones they hold so much on average.
FREE_CHUNKS, MEAN_CHUNK = 1024, 64
# Frames of a WebSocket that hold no whole message (pings, pongs, continuations): at once, and each second.
FRAMES_AT_ONCE, FRAMES_PER_S = 256, 32
PIECE = 1 << 12  # bytes of a WebSocket that are parsed at once: 680 empty frames, 20 ms


TOO_MUCH = "Invalid HTTP request received."  # uvicorn's words


class Abuse(Exception):  # noqa: N818
    """What no honest client does; raised within the parser, it becomes a 400, and the end of the connection."""


class Connection(HttpToolsProtocol):
    """A caller's connection.

    Attributes:
        head_s: Longest time for the head of a request, from its first byte or the connection (seconds).
        keep_s: How long it is kept after an answer (seconds).
        silent_since: Since when nothing has been asked on it, on the loop's clock; None while a request is under way.
        asked_at: When its last request began, after its head; on the loop's clock.
        closing_since: Since when it waits for its caller to read the rest of an answer, as far as that was seen.
    """

    head_s: ClassVar[float] = 15.0
    keep_s: ClassVar[float] = 75.0
    watch: ClassVar[Watch | None] = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.timeout_keep_alive = self.keep_s  # type: ignore[assignment]  # uvicorn says int, and hands it to the loop
        self.silent_since: float | None = None
        self.asked_at = 0.0
        self.closing_since: float | None = None
        self._idle_bytes = self._headers = self._chunks = self._body = 0
        self._answering: Any = None  # what uvicorn calls the cycle of the request that is answered at this moment
        self._declines = False  # whether the request under way asks for another protocol than there is
        self._received = b""  # what is parsed at this moment

    @property
    def is_kept(self) -> bool:
        """Whether it waits for a further request, after an answer."""
        return self.timeout_keep_alive_task is not None

    @property
    def is_uploading(self) -> bool:
        """Whether a body is incomplete, and no request before it waits for its answer."""
        return self.cycle is not None and self.cycle.more_body and not self.pipeline

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a head."""
        super().connection_made(transport)
        self.silent_since = self.loop.time()
        if Connection.watch is None or Connection.watch.loop is not self.loop:
            Connection.watch = Watch(self.loop, self.connections)
        Connection.watch.ensure_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells what is being answered that its caller has left; uvicorn tells the last request that was sent."""
        if self._is_answering():
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads; of a connection that was kept, the time for the head begins."""
        was_kept = self.is_kept
        self._idle_bytes += len(data)
        self._received = data
        super().data_received(data)
        self._received = b""
        if was_kept and self.silent_since is not None:
            self.silent_since = self.loop.time()
        if self._idle_bytes > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response(TOO_MUCH)

    def on_message_begin(self) -> None:
        """Begins a request."""
        super().on_message_begin()
        self._headers = self._chunks = self._body = 0
        self._declines = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header, or a trailer."""
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise Abuse
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Ends the wait for a head."""
        asks_for_another = self.parser.should_upgrade() and not self._should_upgrade()
        self._declines = asks_for_another and self.parser.get_method() != b"CONNECT"
        if self._declines:
            return
        self._idle_bytes = 0
        super().on_headers_complete()
        self.silent_since, self.asked_at = None, self.loop.time()
        if len(self.pipeline) > MAX_AHEAD:
            raise Abuse

    def on_body(self, body: bytes) -> None:
        """Takes a part of a body."""
        self._idle_bytes = 0
        self._chunks += 1
        self._body += len(body)
        if self._chunks > FREE_CHUNKS and self._body < MEAN_CHUNK * self._chunks:
            raise Abuse
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends a body."""
        if not self._declines:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hands over, but not while a request is answered, which would never be told that its caller has left."""
        if self._is_answering():
            self.send_400_response(TOO_MUCH)
        else:
            super().handle_websocket_upgrade()

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Begins to answer."""
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Reads a request that asks for a protocol that there is none of as HTTP/1.1 (RFC 9110, 7.8).

        The clients of Java ask for HTTP/2 with each. The parser would take its body for the next request, so another
        one reads it, without what asked for it.
        """
        ended = sys.exception()
        assert isinstance(ended, httptools.HttpParserUpgrade)  # noqa: S101 - uvicorn calls this for such
        rest = self._received[ended.args[0] :]
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        kept = (b"%s: %s" % field for field in self.headers if field[0] != b"upgrade")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._received = b"\r\n".join((line, *kept, b"", rest))
        super().data_received(self._received)

    def on_response_complete(self) -> None:
        """Begins to wait for a further request."""
        super().on_response_complete()
        if self.is_kept:
            self.silent_since = self.loop.time()


class Watch:
    """Closes connections of a process: late and unread ones, and the oldest where descriptors run out.

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

    def ensure_room(self, newcomer: Connection) -> None:
        """Closes connections where descriptors run out: the oldest silent ones, those without a head first.

        Where no other is silent, the oldest whose bodies are incomplete; where all wait for answers, the newcomer.
        """
        if self._others + len(self._connections) < self._most:
            return
        others = [one for one in self._connections if one is not newcomer and isinstance(one, Connection)]
        others = [one for one in others if not one.transport.is_closing()]
        silent = [one for one in others if one.silent_since is not None]
        uploads = [one for one in others if one.is_uploading]
        self._close(
            heapq.nsmallest(CLOSED_AT_ONCE, silent, key=lambda one: (one.is_kept, one.silent_since))
            or heapq.nsmallest(CLOSED_AT_ONCE, uploads, key=lambda one: one.asked_at)
            or [newcomer]
        )
        now = self.loop.time()
        if now - self._logged_at >= LOG_EVERY_S:
            log.warning("few descriptors are left: connections were closed", extra={"closed": self._closed})
            self._closed, self._logged_at = 0, now

    def _look(self) -> None:
        self.loop.call_later(LOOK_EVERY_S, self._look)  # first: a failure below must not end the watch
        now = self.loop.time()
        late = [one for one in self._silent() if not one.is_kept and now - (one.silent_since or now) > one.head_s]
        for one in late + self._not_read(now):
            one.transport.abort()
        if late:
            log.info("connections without the head of a request were closed", extra={"closed": len(late)})
        with contextlib.suppress(OSError):  # without /proc the spare ones must do
            self._others = max(0, len(os.listdir("/proc/self/fd")) - len(self._connections))  # noqa: PTH208 - no paths

    def _not_read(self, now: float) -> list[Connection | Socket]:
        """Connections that were closed here some time ago, and whose callers do not read what is left."""
        ours = (one for one in self._connections if isinstance(one, (Connection, Socket)))
        closing = [one for one in ours if one.transport.is_closing()]
        for one in closing:
            one.closing_since = one.closing_since or now
        return [one for one in closing if now - (one.closing_since or now) > Connection.head_s]

    def _silent(self) -> list[Connection]:
        return [one for one in self._connections if getattr(one, "silent_since", None) is not None]

    def _close(self, connections: Iterable[Connection]) -> None:
        for one in connections:
            one.transport.abort()
            self._connections.discard(one)
            self._closed += 1


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket, of which a little is parsed at a time, and nothing while a message waits to be read.

    uvicorn would keep 16 MiB of each message, parse all that has come at once, and answer any number of pings into a
    buffer of any size.

    Attributes:
        closing_since: As of ``Connection``.
    """

    def __init__(self, config: Config, *args: Any, **options: Any) -> None:
        config.ws_max_size = MAX_MESSAGE
        config.ws_per_message_deflate = False  # samples hardly compress
        super().__init__(config, *args, **options)
        self.closing_since: float | None = None
        self._unparsed = b""
        self._behind_at = -math.inf
        self._frames_left, self._frames_at = float(FRAMES_AT_ONCE), self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Parses as far as there is no message to be read."""
        self._unparsed += data
        self._parse()

    async def receive(self) -> Any:
        """Gives the next message, and goes on when it was the last one."""
        message = await super().receive()
        if self._unparsed or not self.queue.empty():
            self._behind_at = self.loop.time()
        self._parse()
        return message

    def handle_ping(self) -> None:
        """Answers."""
        self._spend()
        if not self.transport.is_closing():
            super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        """Takes an answer."""
        self._spend()
        super().handle_pong(event)

    def handle_cont(self, event: Any) -> None:
        """Takes a further part of a message."""
        self._spend()
        super().handle_cont(event)

    def keepalive_timeout(self) -> None:
        """Ends a connection whose ping had no answer, unless the answer may stand behind what has not been read yet."""
        wait_s = self.ping_timeout or 0.0
        may_come = self.read_paused or self.loop.time() - self._behind_at < wait_s
        if may_come and self.writable.is_set():  # else the caller does not read, and so has not seen the ping
            self.pong_timer = self.loop.call_later(wait_s, self.keepalive_timeout)
        else:
            super().keepalive_timeout()

    def _parse(self) -> None:
        while self._unparsed and not self.read_paused and not self.transport.is_closing():
            piece, self._unparsed = self._unparsed[:PIECE], self._unparsed[PIECE:]
            super().data_received(piece)
            if self.conn.handshake_exc is not None and not self.handshake_initiated:
                self._refuse()

    def _refuse(self) -> None:
        """Answers a head that cannot be read, such as one with a line of 8 KiB; uvicorn would say nothing for ever."""
        said = b"".join(self.conn.data_to_send())
        self.transport.write(said or self.conn.reject(HTTPStatus.BAD_REQUEST, TOO_MUCH).serialize())
        self.transport.close()

    def _spend(self) -> None:
        """Counts a frame; closes a connection that has sent too many."""
        now = self.loop.time()
        earned = self._frames_left + FRAMES_PER_S * (now - self._frames_at)
        self._frames_left, self._frames_at = min(earned, FRAMES_AT_ONCE) - 1, now
        if self._frames_left < 0:
            self.transport.abort()


def install(head_s: float, keep_s: float) -> None:
    """Makes uvicorn use ``Connection``, in a process that is about to run it.

    Args:
        head_s: As of ``Connection``.
        keep_s: As of ``Connection``.
    """
    Connection.head_s, Connection.keep_s = head_s, keep_s
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"
    WS_PROTOCOLS["auto"] = f"{__name__}:{Socket.__name__}"
