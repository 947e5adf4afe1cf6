"""Outermost around every request: its ids, its log line, its metrics, its span, and the models that answered."""

from __future__ import annotations

import logging
import mimetypes
import re
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.asked import question_of
from api.bodies import media_type
from api.middleware.limits import CLIENT_GONE
from core import metrics, tracing
from core.request import RequestState, working_for
from media.containers import offered
from tasks.names import MODELS_BY_QUESTION

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = logging.getLogger("bundle.access")

# An id from outside ends up in headers and logs: letters, digits and a few marks only.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
CONTENT_TYPES = frozenset(mimetypes.types_map.values()) | {
    *("multipart/form-data", "application/x-www-form-urlencoded", "application/octet-stream"),
    *(one.mime_type for one in offered()),
}
UNMATCHED = "unmatched"
SWITCHING_PROTOCOLS = 101
HEADS = ("http.response.start", "websocket.http.response.start")  # the second, of a WebSocket that is refused
QUIET = frozenset({"/livez", "/readyz", "/healthz", "/health", "/metrics"})


@dataclass(slots=True)
class _Watched:
    """What is sent to the caller, with the request's id and its models in the head.

    Attributes:
        send: Sends it.
        state: The request.
        status: Of the answer, from its head on.
    """

    send: Send
    state: RequestState
    status: int

    async def __call__(self, message: Message) -> None:
        """Sends a message."""
        if message["type"] in HEADS:
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.state.id
            if self.state.models:
                headers["x-model"] = ", ".join(self.state.models)
        await self.send(message)


class Observe:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, or one WebSocket, which is logged and counted when it is over."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        is_stream = scope["type"] == "websocket"
        headers = Headers(scope=scope)
        with working_for(_request_id(headers), _trace_id(headers)) as state:
            watched = _Watched(send, state, SWITCHING_PROTOCOLS if is_stream else CLIENT_GONE)
            started = time.perf_counter()
            try:
                await (self.app if is_stream else self._traced)(scope, receive, watched)
            finally:
                record = _record_stream if is_stream else _record
                record(scope, state, watched.status, time.perf_counter() - started)

    async def _traced(self, scope: Scope, receive: Receive, watched: _Watched) -> None:
        """Handles a request inside its span, and counts it as in progress."""
        state = watched.state
        with metrics.IN_PROGRESS.track_inprogress(), _span(scope) as span:
            if span is not None:
                state.trace_id = tracing.trace_id(tracing.traceparent())
            try:
                await self.app(scope, receive, watched)
            finally:
                about = {"bundle.request_id": state.id, "bundle.models": state.models}
                tracing.name_request(span, _method(scope), route_template(scope), watched.status, about)


def _span(scope: Scope) -> AbstractContextManager[Span | None]:
    return nullcontext() if scope["path"] in QUIET else tracing.request(Headers(scope=scope))


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _trace_id(headers: Headers) -> str:
    """The caller's trace, which the logs name whether or not this server exports spans."""
    given = headers.get("traceparent", "")
    return tracing.trace_id(given) if TRACEPARENT.fullmatch(given) else ""


def _content_type(headers: Headers) -> str:
    """What the caller says that the body is, where it is a type that exists."""
    given = media_type(headers)
    return given if given in CONTENT_TYPES else given and "other"


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "OTHER"


def _record(scope: Scope, state: RequestState, status: int, seconds: float) -> None:
    route = route_template(scope)
    method = _method(scope)
    metrics.REQUESTS.labels(route, method, status).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(seconds)
    log.log(
        logging.DEBUG if route in QUIET and status < 400 else logging.INFO,
        "request",
        extra={
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(1000 * seconds, 1),
            "content_type": _content_type(Headers(scope=scope)),
            "models": state.models,
        },
    )


def _record_stream(scope: Scope, state: RequestState, status: int, seconds: float) -> None:
    """As ``_record``; a refusal by a key comes before the route, which would know the question."""
    stream = state.stream
    asked = question_of(scope)
    question = stream.question or (asked if asked in MODELS_BY_QUESTION else UNMATCHED)
    metrics.STREAMS.labels(question, stream.outcome).inc()
    log.info(
        "stream",
        extra={
            "route": route_template(scope),
            "question": question,
            "status": status,
            "outcome": stream.outcome,
            "duration_ms": round(1000 * seconds, 1),
            "sound_s": round(stream.sound_s, 2),
            "answers": stream.answers,
            "failures": stream.failures,
            "models": state.models,
        },
    )


def route_template(scope: Scope) -> str:
    """The template of the route that answered, or ``unmatched``: never the raw path."""
    template = scope.get("bundle.route") or getattr(scope.get("route"), "path", None)
    return template if isinstance(template, str) else UNMATCHED
