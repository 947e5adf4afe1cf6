"""Live answers over a WebSocket: samples come in, and each second an answer about the latest window goes out.

One message is read at a time, and none while a second is being answered: a client that sends faster than it is
answered, or reads slower, waits by itself, and what it sends waits in its own connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import soxr
from fastapi import APIRouter, Query, WebSocket
from numpy.typing import NDArray
from starlette.websockets import WebSocketDisconnect, WebSocketState

from api.answers import Answers
from api.auth import SUBPROTOCOL, VOICE_DETECTION, check_voice_key
from api.responses import to_response
from core.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    ServiceError,
    TimedOut,
    TooManyRequests,
    Unavailable,
)
from core.memory import hold
from core.request import CURRENT, RequestState
from media.samples import QUALITY, DecodedAudio
from models.spec import AudioInput
from tasks.questions import Question, questions
from tasks.run import Context

EVERY_S = 1.0  # an answer for so much new sound
SHORTEST_S = 1.0  # of the first window
IDLE_S = 30.0  # without a message; a microphone sends many a second
END = "end"  # the text by which a client says that no more comes
CLOSED_NORMALLY, CLOSED_BY_RULE = 1000, 1008


class Live:
    """One stream.

    Args:
        context: The bundle.
        question: About sound.
        rate: Of the samples that come in (Hz).
    """

    def __init__(self, context: Context, question: Question, rate: int) -> None:
        self._context = context
        self._question = question
        kind: AudioInput = context.audio_input(question.models[0])
        self._rate = kind.sample_rate
        self._source_rate = rate
        self._resampler = soxr.ResampleStream(rate, self._rate, 1, dtype="float32", quality=QUALITY)
        self._size = round(kind.window_s * self._rate)
        self._window: NDArray[np.float32] = np.zeros(0, np.float32)
        self._odd = b""  # half of a sample, whose other half comes with the next message
        self._heard = 0  # samples at the model's rate
        self._answered = 0
        hold(4 * self._size)

    async def run(self, socket: WebSocket) -> None:
        """Answers until the client ends or goes.

        Raises:
            ServiceError: The client does what is not allowed; the stream ends.
            WebSocketDisconnect: It has gone.
        """
        async for data in self._messages(socket):
            for start in range(0, len(data), self._bytes_of(EVERY_S)):
                await self._take(data[start : start + self._bytes_of(EVERY_S)])
                if self._heard - self._answered >= EVERY_S * self._rate and self._heard >= SHORTEST_S * self._rate:
                    await socket.send_text(json.dumps(await self._answer()))
        await self._take(b"", is_last=True)
        if self._heard > self._answered:
            await socket.send_text(json.dumps(await self._answer()))

    def _bytes_of(self, seconds: float) -> int:
        return 2 * round(seconds * self._source_rate)

    async def _messages(self, socket: WebSocket) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    message = await socket.receive()
            except TimeoutError:
                raise TimedOut(f"nothing came for {IDLE_S:g} seconds") from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", CLOSED_NORMALLY))
            if (data := message.get("bytes")) is not None:
                yield data
            elif message.get("text") == END:
                return
            else:
                raise BadRequest(f"send samples as binary messages, and the text '{END}' after the last one")

    async def _take(self, data: bytes, *, is_last: bool = False) -> None:
        """Adds samples to the window."""
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
        more = await asyncio.get_running_loop().run_in_executor(
            self._context.threads, lambda: self._resampler.resample_chunk(samples, last=is_last)
        )
        self._heard += more.size
        longest_s = self._context.settings.max_audio_seconds
        if self._heard > longest_s * self._rate:
            raise PayloadTooLarge(f"the stream is longer than {longest_s:g} seconds")
        self._window = np.concatenate([self._window, np.clip(more, -1.0, 1.0)])[-self._size :]

    async def _answer(self) -> dict[str, Any]:
        """What there is to say of the window."""
        self._answered = self._heard
        end = self._heard / self._rate
        span = {"start": round(end - self._window.size / self._rate, 3), "end": round(end, 3)}
        audio = DecodedAudio(
            self._window, self._rate, self._source_rate, 1, self._window.size / self._rate, container="pcm"
        )
        try:
            self._context.ensure_room(*self._question.models)
            steps = self._question.classify(audio, self._context.settings)
            async with asyncio.timeout(self._context.settings.request_timeout_s):
                found = await self._context.follow(steps)
        except TimeoutError:
            return failed(TimedOut("no answer within the time limit")) | span
        except ServiceError as error:  # no speech, no room: the next second may be answered
            return failed(error) | span
        return {
            "status": "success",
            **span,
            "prediction": found.prediction,
            "confidence": min(found.confidence, 1.0),
            "probabilities": {name: min(value, 1.0) for name, value in found.probabilities.items()},
            "uncertain": found.uncertain,
            "problems": list(found.problems),
            "models": [member.tag for member in found.members.values()],
        }


def failed(error: ServiceError) -> dict[str, Any]:
    """A failure as a message."""
    body: dict[str, Any] = json.loads(bytes(to_response(error).body))
    return {**body, "code": error.status}


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
