"""Between limits and dispatch: the key of a request, and what its quotas say, before anything of the body is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import CALLER, question_of
from api.responses import to_response
from core.errors import ServiceError

if TYPE_CHECKING:  # runner processes load this module too
    from api.guard import Guard, Visit

# A body of unknown length is counted whenever so much of it has arrived, and at its end.
COUNTED_BYTES = 1 << 20


class Keys:
    """ASGI middleware; it is there where the setting ``KEY_STORE`` names a store.

    Args:
        app: What it wraps.
        guard: Gives what knows the keys; asked at the first request.
    """

    def __init__(self, app: ASGIApp, *, guard: Callable[[], Guard]) -> None:
        self.app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] not in ("http", "websocket") or (question := question_of(scope)) is None:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        visit: Visit | None = None
        try:
            visit = await self._guard().admit(question, headers)
            await visit.begin(int(declared) if declared.isdigit() else 0)
        except ServiceError as error:
            response = to_response(error, scope["path"])
            response.headers.update(visit.headers if visit else {})
            await response(scope, receive, send)
            return
        scope[CALLER] = visit.name
        counted = receive if declared.isdigit() else _counting(receive, visit)
        await self.app(scope, counted, _marking(send, visit))


def _counting(receive: Receive, visit: Visit) -> Receive:
    """The channel of a body whose length is not declared."""
    arrived = 0

    async def counting() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body") or message.get("bytes") or b"")
        if arrived >= COUNTED_BYTES or (arrived and not message.get("more_body", False)):
            size, arrived = arrived, 0
            await visit.use(size)
        return message

    return counting


def _marking(send: Send, visit: Visit) -> Send:
    """The channel of the answer, whose head says how the key stands."""

    async def marking(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(visit.headers)
        await send(message)

    return marking
