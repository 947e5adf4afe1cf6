"""Long recordings that are decoded: those without room are refused before, or on the way."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile

from core.errors import TooManyRequests
from core.settings import Settings
from media.audio import AudioLimits, DecodedAudio, decode
from media.cost import stated_seconds
from models.messages import InferenceRequest, InferenceResult
from models.spec import AudioInput, ModelSpec
from scheduling.queue import Model, ModelQueue
from tasks.base import Answer
from tasks.questions import Question
from tasks.run import Context
from tests.support.queued import Client, judged, judging

pytestmark = pytest.mark.anyio

SOUND = ModelSpec("sound", "sound", "Sound", ("low", "high"), AudioInput(100, 1.0), "", "", "")
EACH_S = 0.01  # of a window of one second
LONG_S, MAX_QUEUE_WAIT_S = 400.0, 2.0  # a long recording takes 4 s


async def slow(requests: Sequence[InferenceRequest]) -> list[InferenceResult]:
    await asyncio.sleep(EACH_S * len(requests))
    return [InferenceResult(model="sound:1", probabilities=[0.5, 0.5]) for _ in requests]


@pytest.fixture
def context() -> Iterator[Context]:
    nothing: Any = None
    models = {"sound": Model(SOUND, Client("sound:1"), ModelQueue("sound", slow, max_queue_wait_s=MAX_QUEUE_WAIT_S))}
    with ThreadPoolExecutor(2) as threads:
        yield Context(Settings(), models, threads, nothing, nothing, nothing, None)


def flac(seconds: float, *, states_length: bool = True) -> bytes:
    """Silence in a few hundred bytes."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(100 * seconds), np.int16), 100, format="FLAC")
    data = bytearray(file.getvalue())
    if not states_length:
        data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    return bytes(data)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The lengths to which recordings were decoded (seconds)."""
    reached: list[float] = []

    def watched(data: bytes, *, limits: AudioLimits, **options: Any) -> DecodedAudio:
        place = len(reached)
        reached.append(0.0)

        def note(seconds: float) -> None:
            assert limits.on_length is not None
            limits.on_length(seconds)
            reached[place] = seconds

        return decode(data, limits=replace(limits, on_length=note), **options)

    monkeypatch.setattr("tasks.decoding.decode", watched)
    return reached


async def answers(context: Context, data: bytes, count: int) -> list[Answer | BaseException]:
    question = Question("sound", "", ("sound",), "audio", lambda audio, _: judging("sound", audio.samples), "sound")
    await judged(context, "sound", np.zeros(100, np.float32))  # the throughput is known from here on
    return await asyncio.gather(*(context.answer(question, data) for _ in range(count)), return_exceptions=True)


async def test_those_without_room_are_refused_before_they_are_decoded(context: Context, decoded: list[float]) -> None:
    found = await answers(context, flac(LONG_S), 8)
    assert sum(isinstance(one, TooManyRequests) for one in found) == 7
    assert decoded == [LONG_S]


async def test_where_the_header_states_no_length_they_are_refused_on_the_way(
    context: Context, decoded: list[float]
) -> None:
    data = flac(LONG_S, states_length=False)
    assert stated_seconds(data) == 0
    found = await answers(context, data, 8)
    assert any(isinstance(one, Answer) for one in found)
    assert sum(isinstance(one, TooManyRequests) for one in found) >= 6
    assert sum(seconds < LONG_S for seconds in decoded) >= 6
