"""Around every request: how large, how long, and whether anybody is still waiting for the answer."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import to_response
from core.errors import PayloadTooLarge, ServiceError, TimedOut

# A body above the limit is read on and thrown away for so long, because most clients look for an answer only after
# they have sent everything; beyond that the connection is closed on them.
DRAIN_FACTOR = 2
DRAIN_S = 5.0


class Limits:
    """ASGI middleware; every failure that reaches it becomes an answer in the shape of C7.

    Args:
        app: What it wraps.
        max_body_bytes: Largest body; counted while it is read.
        timeout_s: Time limit of the whole request, reading its body included (seconds).
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, timeout_s: float) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, self.max_body_bytes)
        try:
            await self._run(scope, exchange)
        except _ClientGone:
            return
        except Exception as error:
            if exchange.too_large:
                await exchange.drain()
            if not exchange.started:
                await to_response(error, scope["path"])(scope, receive, send)

    async def _run(self, scope: Scope, exchange: _Exchange) -> None:
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > self.max_body_bytes:
            raise exchange.refuse()
        answer = asyncio.ensure_future(self.app(scope, exchange.receive, exchange.send))
        gone = asyncio.ensure_future(exchange.wait_until_gone())
        try:
            done, _ = await asyncio.wait({answer, gone}, timeout=self.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if answer in done:
                await answer
                if exchange.too_large and not exchange.started:
                    raise exchange.refuse()
            elif gone in done:
                raise _ClientGone
            else:
                raise TimedOut(f"no answer within {self.timeout_s:g} seconds")
        finally:
            for task in (answer, gone):
                task.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)


class _ClientGone(Exception):  # noqa: N818
    """The caller closed the connection."""


class _Exchange:
    """The two channels of a request, counted and watched."""

    def __init__(self, receive: Receive, send: Send, max_body_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._max = max_body_bytes
        self._read = 0
        self._complete = asyncio.Event()
        self._gone = asyncio.Event()
        self.started = False
        self.too_large = False

    def refuse(self) -> ServiceError:
        self.too_large = True
        return PayloadTooLarge(f"the body is larger than {self._max / (1 << 20):g} MiB")

    async def receive(self) -> Message:
        if self._complete.is_set():  # the rest of the channel belongs to ``wait_until_gone``
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._complete.set()
            if self._read > self._max:
                raise self.refuse()
        return message

    async def send(self, message: Message) -> None:
        if self.too_large:  # the application made another error of it; the caller gets the true one
            return
        self.started = True
        await self._send(message)

    async def wait_until_gone(self) -> None:
        await self._complete.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    async def drain(self) -> None:
        """Reads the rest of a refused body, within bounds."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while not self._complete.is_set() and self._read <= DRAIN_FACTOR * self._max:
                    message = await self._receive()
                    self._read += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return
