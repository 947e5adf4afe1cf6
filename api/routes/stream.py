"""Live answers over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from api.answers import Answers
from api.auth import SUBPROTOCOL, VOICE_DETECTION, check_voice_key
from api.responses import to_response
from api.v1.stream import CLOSED_BY_RULE, CLOSED_NORMALLY, Live, failed
from core.errors import BadRequest, Forbidden, NotFound, ServiceError, TooManyRequests, Unavailable
from core.request import CURRENT, RequestState
from tasks.questions import questions

router = APIRouter(tags=["uniform"])
log = logging.getLogger("bundle.stream")

MAX_STREAMS = 64  # of one API process: more than two cores answer each second
RETRY_AFTER_S = 10.0
_open = set[object]()


@router.websocket("/v1/stream/{question}")
async def stream(
    socket: WebSocket, question: str, rate: Annotated[int, Query(ge=8_000, le=192_000, description="Hz.")] = 16_000
) -> None:
    """Signed 16-bit little-endian samples, mono, in binary messages of any size; an answer in JSON each second."""
    state = RequestState(uuid.uuid4().hex)
    token = CURRENT.set(state)
    try:
        live = _admit(socket, question, rate)
    except ServiceError as error:
        await socket.send_denial_response(to_response(error, socket.url.path))
        CURRENT.reset(token)
        return
    mine = object()
    _open.add(mine)
    try:
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope.get("subprotocols", ()) else None)
        await _run(live, socket)
    finally:
        _open.discard(mine)
        log.info("stream ended", extra={"question": question, "models": state.models, "open": len(_open)})
        CURRENT.reset(token)


def _admit(socket: WebSocket, question: str, rate: int) -> Live:
    """Lets a client in: the key first, then whether there is room.

    Raises:
        ServiceError: It is not let in.
    """
    found = getattr(socket.app.state, "answers", None)
    if not isinstance(found, Answers):
        raise Unavailable("the service is starting", retry_after=1)
    context = found.context
    if (asked := questions().get(question)) is None:
        raise NotFound(f"the questions are {', '.join(questions())}")
    _check_origin(socket, context.settings.cors_origins)
    if question == VOICE_DETECTION:
        check_voice_key(socket.scope, context.settings.keys, socket.headers)
    if asked.kind != "audio":
        raise BadRequest(f"{question} is about pictures: only sound can be streamed")
    if len(_open) >= MAX_STREAMS:
        raise TooManyRequests("the server has as many streams as it can answer", retry_after=RETRY_AFTER_S)
    context.ensure_room(*asked.models)
    return Live(context, asked, rate)


def _check_origin(socket: WebSocket, allowed: Sequence[str]) -> None:
    """Holds pages of other origins to ``CORS_ORIGINS``, which browsers do not ask about for a WebSocket.

    Raises:
        Forbidden: The page is of an origin that may not call.
    """
    origin = socket.headers.get("origin", "")
    is_own = urlsplit(origin).netloc == socket.headers.get("host")
    if origin and not is_own and "*" not in allowed and origin not in allowed:
        raise Forbidden("pages of this origin may not call; see CORS_ORIGINS")


async def _run(live: Live, socket: WebSocket) -> None:
    """Answers, and closes with a reason where the client did what is not allowed."""
    try:
        await live.run(socket)
    except WebSocketDisconnect:
        return
    except ServiceError as error:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.send_text(json.dumps(failed(error)))
            await socket.close(CLOSED_BY_RULE, error.message[:100])
        return
    if socket.client_state == WebSocketState.CONNECTED:
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):
            await socket.close(CLOSED_NORMALLY)
