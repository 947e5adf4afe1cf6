"""Live answers over a WebSocket: sound comes in, and each second an answer about the latest window goes out.

One message is read at a time, and none while a second of sound is being answered. So a client that sends faster than it
is answered, or reads its answers slowly, holds up only its own connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from api.answers import answers
from api.auth import CALLER, SUBPROTOCOL, check_voice_key
from api.responses import error_body, to_response
from core import metrics
from core.errors import BadRequest, Forbidden, ServiceError, TimedOut, TooManyRequests
from core.memory import hold
from core.request import CURRENT, StreamState
from media.opus import OpusStream
from media.pcm import PcmStream
from media.samples import Samples
from tasks.live import LiveSound, Source
from tasks.names import AI_VOICE
from tasks.questions import Question, question_named
from tasks.run import Context

IDLE_S = 30.0  # without a message; a microphone sends many a second
KEPT_BYTES = 2 << 20  # a message of the largest size, and what a decoder keeps beside it
END = "end"  # the text by which a client says that no more comes
CLOSED_NORMALLY, CLOSED_BY_RULE = 1000, 1008


class Live:
    """One stream.

    Args:
        context: The bundle.
        question: About sound.
        source: What makes samples of what comes in.
        state: Where it is noted what came in and went out.
    """

    def __init__(self, context: Context, question: Question, source: Source, state: StreamState) -> None:
        self._context = context
        self._question = question
        self._state = state
        kind = context.asker.audio_input(question.models[0])
        self._sound = LiveSound(source, kind, context.settings.max_audio_seconds)
        hold(4 * self._sound.size + KEPT_BYTES)

    async def run(self, socket: WebSocket) -> None:
        """Answers until the client ends or goes.

        Raises:
            ServiceError: The client does what is not allowed; the stream ends.
            WebSocketDisconnect: It has gone.
        """
        async for data in self._messages(socket):
            await self._take(socket, self._sound.feed(data))
        await self._take(socket, self._sound.finish())
        if self._sound.has_more:
            await self._answer(socket)

    async def _messages(self, socket: WebSocket) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        longest_s = self._context.settings.max_audio_seconds + IDLE_S
        began = loop.time()
        while True:
            await asyncio.sleep(0)  # a message that is there already is taken without a pause, and many hold up others
            if loop.time() - began > longest_s:  # or a place would be held for ever with a byte now and then
                raise TimedOut(f"the stream was open for more than {longest_s:g} seconds")
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
                raise BadRequest(f"send sound as binary messages, and the text '{END}' after the last one")

    async def _take(self, socket: WebSocket, chunks: Iterator[Samples]) -> None:
        """Adds what comes in to the window, and answers about it whenever a second is there."""
        while (more := await self._context.decoder.in_thread(lambda: next(chunks, None))) is not None:
            seconds = more.size / self._sound.rate
            self._state.sound_s += seconds
            metrics.STREAM_SOUND_SECONDS.labels(self._question.name).inc(seconds)
            self._sound.add(more)
            if self._sound.is_due:
                await self._answer(socket)

    async def _answer(self, socket: WebSocket) -> None:
        message = await self._message()
        status = message.get("code", 200)
        self._state.answers += status == 200
        self._state.failures += status != 200
        metrics.STREAM_ANSWERS.labels(self._question.name, status).inc()
        await socket.send_text(json.dumps(message))

    async def _message(self) -> dict[str, Any]:
        """The message about the window: its answer, or why there is none."""
        audio, end = self._sound.take()
        span = {"start": round(end - audio.duration_s, 3), "end": round(end, 3)}
        try:
            self._context.ensure_room(*self._question.models)
            steps = self._question.classify(audio, self._context.settings)
            async with asyncio.timeout(self._context.settings.request_timeout_s):
                found = await self._context.asker.follow(steps)
        except TimeoutError:
            return failed(TimedOut("no answer within the time limit")) | span
        except ServiceError as error:  # no speech, no room: the next second may be answered
            return failed(error) | span
        by_itself = await self._context.decoder.in_thread(lambda: self._question.problems(audio))
        return {
            "status": "success",
            **span,
            "prediction": found.prediction,
            "confidence": found.confidence,
            "probabilities": dict(found.probabilities),
            "uncertain": found.uncertain,
            "problems": [*found.problems, *by_itself],
            "models": [member.tag for member in found.members.values()],
        }


def failed(error: ServiceError) -> dict[str, Any]:
    """A failure as a message."""
    return {**error_body(error), "code": error.status}


router = APIRouter(tags=["uniform"])

FORMATS = ("pcm", "opus")
RATES = (8_000, 192_000)  # Hz, of samples
MAX_STREAMS = 64  # of one API process: more than two cores answer each second
MAX_STREAMS_OF_A_KEY = 16  # of these, so that one caller leaves places to others
RETRY_AFTER_S = 10.0
_open = Counter[str]()  # by the name of the key; "" where callers have no keys of their own


@router.websocket("/v1/stream/{question}")
async def stream(socket: WebSocket, question: str, rate: str = "16000", format: str = FORMATS[0]) -> None:
    """Sound in binary messages of any size; an answer in JSON each second.

    ``pcm`` is signed 16-bit little-endian samples, mono; ``opus`` a recording in Ogg or WebM.
    """
    state = request.stream if (request := CURRENT.get()) is not None else StreamState()
    try:
        live = _admit(socket, question, format, rate, state)
    except ServiceError as error:
        await socket.send_denial_response(to_response(error, socket.url.path))
        return
    key = _key(socket)
    _open[key] += 1
    state.outcome = "left"
    metrics.STREAMS_OPEN.inc()
    try:
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope.get("subprotocols", ()) else None)
        await _run(live, socket, state)
    finally:
        _open[key] -= 1
        metrics.STREAMS_OPEN.dec()


def _admit(socket: WebSocket, question: str, kind: str, rate: str, state: StreamState) -> Live:
    """Lets a client in: the key first, then whether there is room.

    Raises:
        ServiceError: It is not let in.
    """
    context = answers(socket).context
    asked = question_named(question)
    state.question = question
    _check_origin(socket, context.settings.cors_origins)
    if question == AI_VOICE:
        check_voice_key(socket.scope, context.settings.keys, socket.headers)
    if asked.kind != "audio":
        raise BadRequest(f"{question} is about pictures: only sound can be streamed")
    if kind not in FORMATS:
        raise BadRequest(f"format must be one of {', '.join(FORMATS)}")
    if not (rate.isascii() and rate.isdigit() and len(rate) < 9 and RATES[0] <= int(rate) <= RATES[1]):
        raise BadRequest(f"rate must be {RATES[0]} to {RATES[1]} (Hz)")
    if _open.total() >= MAX_STREAMS:
        raise TooManyRequests("the server has as many streams as it can answer", retry_after=RETRY_AFTER_S)
    if (key := _key(socket)) and _open[key] >= MAX_STREAMS_OF_A_KEY:
        raise TooManyRequests(f"the key has {MAX_STREAMS_OF_A_KEY} streams open already", retry_after=RETRY_AFTER_S)
    context.ensure_room(*asked.models)
    source = OpusStream(context.settings.max_body_bytes) if kind == "opus" else PcmStream(int(rate))
    return Live(context, asked, source, state)


def _key(socket: WebSocket) -> str:
    """The name of the caller's key, where there is a store of keys."""
    name: str = socket.scope.get(CALLER, "")
    return name


def _check_origin(socket: WebSocket, allowed: Sequence[str]) -> None:
    """Holds pages of other origins to ``CORS_ORIGINS``, which browsers do not ask about for a WebSocket.

    Raises:
        Forbidden: The page is of an origin that may not call.
    """
    origin = socket.headers.get("origin", "")
    try:
        is_own = urlsplit(origin).netloc == socket.headers.get("host")
    except ValueError:  # half of an IPv6 address
        is_own = False
    if origin and not is_own and "*" not in allowed and origin not in allowed:
        raise Forbidden("pages of this origin may not call; see CORS_ORIGINS")


async def _run(live: Live, socket: WebSocket, state: StreamState) -> None:
    """Answers, and closes with a reason where the client did what is not allowed."""
    try:
        await live.run(socket)
    except WebSocketDisconnect:
        return
    except ServiceError as error:
        state.outcome = "stopped"
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.send_text(json.dumps(failed(error)))
            await socket.close(CLOSED_BY_RULE, error.message[:100])
        return
    state.outcome = "ended"
    if socket.client_state == WebSocketState.CONNECTED:
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):
            await socket.close(CLOSED_NORMALLY)
