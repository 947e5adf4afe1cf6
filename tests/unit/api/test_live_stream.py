"""A live stream without its server: how long a client may hold a place."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import WebSocket
from starlette.types import Message

from api.routes import stream
from core.errors import TimedOut
from core.request import StreamState
from media.pcm import PcmStream
from models import registry
from tasks.decoding import Decoder
from tasks.questions import questions
from tasks.run import Context

pytestmark = pytest.mark.anyio

PAUSE_S = 0.01  # from one message of the client to the next


class Dripping:
    """The connection of a client that sends next to nothing, for ever."""

    async def receive(self) -> Message:
        await asyncio.sleep(PAUSE_S)
        return {"type": "websocket.receive", "bytes": b"\0"}


async def test_next_to_nothing_for_ever_does_not_hold_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "IDLE_S", 20 * PAUSE_S)  # much longer than the client's pauses
    nothing: Any = None
    with ThreadPoolExecutor(1) as threads:
        context: Any = SimpleNamespace(
            asker=SimpleNamespace(audio_input=lambda name: registry.specs()[name].input),
            settings=SimpleNamespace(max_audio_seconds=10 * PAUSE_S),
            decoder=Decoder(nothing, nothing, threads, nothing),
        )
        question = questions()["audio-scene"]
        live = stream.Live(cast(Context, context), question, PcmStream(16_000), StreamState())
        async with asyncio.timeout(60):
            with pytest.raises(TimedOut, match="open for more than"):
                await live.run(cast(WebSocket, Dripping()))
