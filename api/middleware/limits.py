"""Limits of every request: its size and its time; its work ends when the caller has gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware.inflate import Inflated, as_plain, beginnings
from api.responses import to_response
from core.errors import InternalError, NotFound, PayloadTooLarge, ServiceError, TimedOut, Unavailable
from core.memory import Budget, hold, lease

log = logging.getLogger("bundle.limits")

# What is left of a body after its answer is read on and thrown away for so long, because most clients look for an
# answer only after they have sent everything; then the connection is closed on them.
DRAIN_FACTOR = 2
DRAIN_S = 5.0
CLIENT_GONE = 499  # the status by which nginx logs a caller who closed the connection before the answer


class Limits:
    """ASGI middleware; every failure that reaches it becomes an answer in the contract's error shape.

    Args:
        app: What it wraps.
        max_body_bytes: Largest body; counted while it is read.
        timeout_s: Time limit of the whole request, reading its body included (seconds).
        budget: What all requests of this process may have in hand.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, timeout_s: float, budget: Budget) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.timeout_s = timeout_s
        self.budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] == "websocket":  # which bounds itself in time and size (``api.routes.stream``)
            await self._open(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        has_body = "transfer-encoding" in headers or declared not in ("", "0")
        exchange = _Exchange(receive, send, self.max_body_bytes, has_body=has_body)
        if begins := beginnings(scope):
            exchange.inflate(begins)
            as_plain(scope)
        try:
            if declared.isdigit() and int(declared) > self.max_body_bytes:
                raise exchange.too_large()
            with lease(self.budget):
                await self._run(scope, exchange)
        except _ClientGone:
            await exchange.end_abandoned()
            return
        except Exception as error:
            if exchange.started:  # its head said that all is well, and so does the access log
                log.warning("an answer was broken off", extra={"why": type(error).__name__})
            else:
                await to_response(error, scope["path"])(scope, receive, exchange.answer)
        await exchange.finish()

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a WebSocket. A failure before its first message refuses it: BentoML would wait for one."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            if not started and message["type"] == "websocket.close":  # an empty 403, by which no route answered
                raise NotFound("there is no stream at this address")
            started = True
            await send(message)

        try:
            with lease(self.budget):
                await self.app(scope, receive, noting)
        except Exception as error:
            if started:
                raise
            await to_response(error, scope["path"])(scope, receive, send)

    async def _run(self, scope: Scope, exchange: _Exchange) -> None:
        answer = asyncio.ensure_future(self.app(scope, exchange.body, exchange.send))
        gone = asyncio.ensure_future(exchange.wait_until_gone())
        try:
            await asyncio.wait({answer, gone}, timeout=self.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                await answer
                if exchange.refused and not exchange.started:
                    raise exchange.refusal()
            elif gone.done():
                raise _ClientGone
            else:
                raise TimedOut(f"no answer within {self.timeout_s:g} seconds")
        finally:
            gone.cancel()
            # Nothing else is waited for: the request is counted before the caller's next one begins (``Observe``).
            if not answer.done():
                answer.cancel()
                await asyncio.gather(answer, gone, return_exceptions=True)
            del answer, gone  # breaks the reference cycle of a failure, which keeps the body (``storage.cache``)


class _ClientGone(Exception):  # noqa: N818
    """The caller closed the connection."""


class _Exchange:
    """The two channels of a request, counted and watched."""

    def __init__(self, receive: Receive, send: Send, max_body_bytes: int, *, has_body: bool) -> None:
        self._receive = receive
        self._send = send
        self._max = max_body_bytes
        self._has_body = has_body
        self._is_early = False
        self._last: Message | None = None
        self._read = 0
        self._complete = asyncio.Event()
        self._gone = asyncio.Event()
        self.started = False
        self.refused: tuple[type[ServiceError], str, float | None] | None = None
        self.body: Receive = self.receive

    def inflate(self, begins: tuple[bytes, ...]) -> None:
        """Has the application read the body without its compression."""
        self.body = Inflated(self.receive, begins, self._max, self._hold, self._refuse)

    def too_large(self) -> ServiceError:
        return self._refuse(PayloadTooLarge, f"the body is larger than {self._max / (1 << 20):g} MiB")

    def _refuse(self, kind: type[ServiceError], message: str) -> ServiceError:
        self.refused = kind, message, None
        return self.refusal()

    def _hold(self, size: int) -> None:
        try:
            hold(size)
        except Unavailable as error:
            self.refused = type(error), error.message, error.retry_after
            raise

    def refusal(self) -> ServiceError:
        """A new one each time: an exception that was raised and is kept here would be a reference cycle."""
        kind, message, retry_after = self.refused or (InternalError, "", None)
        return kind(message, retry_after=retry_after)

    async def receive(self) -> Message:
        if self._complete.is_set():  # the rest of the channel belongs to ``wait_until_gone``
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._read_on()
        if message["type"] == "http.disconnect":  # in the middle of the body: the work is ended without an answer
            self._gone.set()
            await asyncio.Event().wait()
        if self._read > self._max:
            raise self.too_large()
        self._hold(len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        if not self.refused:  # or the application made another error of it; the caller gets the true one
            await self.answer(message)

    async def answer(self, message: Message) -> None:
        """Sends; an answer that comes before the end of the body says that it ends the connection."""
        if message["type"] == "http.response.start":
            self.started = True
            self._is_early = self._has_body and not self._complete.is_set()
            if self._is_early:  # or the server would read the rest, whatever its length, to find the next request
                MutableHeaders(scope=message)["connection"] = "close"
        elif self._is_early and not message.get("more_body", False):
            self._last = {"type": "http.response.body"}
            message = {**message, "more_body": True}
        await self._send(message)

    async def finish(self) -> None:
        """Ends an early answer: the server then closes the connection."""
        if self._last is not None:
            await self._drain()
            await self._send(self._last)

    async def end_abandoned(self) -> None:
        """Answers a caller who has gone: the server drops it, but BentoML's timeout waits for the start of an answer.

        Without one it would hold the request, and with it the stop of the server, for all of its time.
        """
        if not self.started:
            await self._send({"type": "http.response.start", "status": CLIENT_GONE, "headers": []})
            await self._send({"type": "http.response.body"})

    async def wait_until_gone(self) -> None:
        await self._complete.wait()
        while not self._gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self._gone.set()

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self._complete.is_set() and self._read <= DRAIN_FACTOR * self._max:
                    await self._read_on()

    async def _read_on(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._complete.set()
        return message
