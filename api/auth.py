"""Who may ask: the keys of callers.

Where there is a store of keys, the middleware ``Keys`` checks the key of a request and its quotas, before the body is
read. It stands between the limits and the dispatch.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.asked import question_of
from api.responses import to_response
from core.errors import Forbidden, ServiceError, TooManyRequests, Unavailable

if TYPE_CHECKING:
    from api.guard import Guard, Visit

log = logging.getLogger("bundle.keys")

# A page cannot give a WebSocket headers. It offers two subprotocols: the first, and ``key.<its key, percent-encoded>``.
SUBPROTOCOL = "media-stream"
KEY_SUBPROTOCOL = "key."
INVALID = "Invalid API key provided"  # the contract's words
CALLER = "bundle.caller"  # where a request carries the name of its key, once the middleware has let it in


def check_key(known: Sequence[str], headers: Mapping[str, str]) -> None:
    """Lets a request with a configured key pass.

    Args:
        known: The configured keys.
        headers: Of the request: the key is in ``x-api-key``, or a bearer token, as BentoML's clients send theirs.

    Raises:
        Forbidden: The key is missing or wrong, or none is configured.
    """
    if not known:
        log.error("no API_KEY is configured: voice detection refuses every caller")
    if not is_known(presented_key(headers), known):
        raise Forbidden(INVALID)


def is_known(given: str, known: Sequence[str]) -> bool:
    """Whether a key is among the known ones; each is compared, in constant time, so that the time tells nothing."""
    matches = [hmac.compare_digest(given.encode(), key.encode()) for key in known]
    return any(matches)


def check_voice_key(scope: Scope, known: Sequence[str], headers: Mapping[str, str]) -> None:
    """The same, for a request that may have been let in by a key of the store already.

    Raises:
        Forbidden: As ``check_key``.
    """
    if CALLER not in scope:
        check_key(known, headers)


def presented_key(headers: Mapping[str, str]) -> str:
    """The key that a request presents; empty where it has none."""
    given = headers.get("x-api-key") or _bearer(headers.get("authorization", ""))
    return (given or _offered(headers.get("sec-websocket-protocol", ""))).strip()


def _offered(subprotocols: str) -> str:
    """The key among the subprotocols that a page offers."""
    found = (one.strip() for one in subprotocols.split(","))
    return next((unquote(one.removeprefix(KEY_SUBPROTOCOL)) for one in found if one.startswith(KEY_SUBPROTOCOL)), "")


def _bearer(authorization: str) -> str:
    """The token of an ``Authorization`` header; the scheme may be written in any case, and must be there."""
    scheme, _, token = authorization.strip().partition(" ")
    return token if scheme.lower() == "bearer" else ""


# A body of unknown length is counted whenever so much of it has arrived, and at its end.
COUNTED_BYTES = 1 << 20
NO_ROOM = (TooManyRequests.status, Unavailable.status)  # the caller is to come back, and then sends its body again


class Keys:
    """ASGI middleware, installed where the setting ``KEY_STORE`` names a store.

    Args:
        app: What it wraps.
        guard: Gives the ``Guard`` of this process; called at the first request.
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
        # A WebSocket may declare a length of 0, which is not that of its messages.
        counted = receive if scope["type"] == "http" and declared.isdigit() else _counting(receive, visit)
        await self.app(scope, counted, _marking(send, visit))


def _counting(receive: Receive, visit: Visit) -> Receive:
    """The receiving channel of a body whose length is not declared; counts its bytes as they arrive."""
    arrived = body = 0

    async def counting() -> Message:
        nonlocal arrived, body
        message = await receive()
        body += len(message.get("body") or b"")
        arrived += len(message.get("body") or message.get("bytes") or b"")
        if arrived >= COUNTED_BYTES or (arrived and not message.get("more_body", False)):
            size, arrived = arrived, 0
            await visit.use(size, body)
        return message

    return counting


def _marking(send: Send, visit: Visit) -> Send:
    """The sending channel; adds the state of the key's quotas to the head of the answer."""

    async def marking(message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] in NO_ROOM:
                await visit.give_back()
            MutableHeaders(scope=message).update(visit.headers)
        await send(message)

    return marking
