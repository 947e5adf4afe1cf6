"""Recordings of very many windows: what they have still to submit counts for those like them alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from core.errors import TooManyRequests
from core.settings import Settings
from models.messages import InferenceRequest, InferenceResult
from models.spec import AudioInput, ModelSpec
from scheduling.queue import FIRST_S, Model, ModelQueue
from tasks.base import Conclusion, Prediction, Steps
from tasks.run import Context
from tests.support.queued import Client, judged, judging
from tests.support.simulated import anyio_backend, clock  # noqa: F401 - fixtures

pytestmark = pytest.mark.anyio

SOUND = ModelSpec("sound", "sound", "Sound", ("low", "high"), AudioInput(100, 1.0), "", "", "")
EACH_S = 0.01  # of a window of one second
LONG_S, MAX_QUEUE_WAIT_S = 400.0, 2.0  # a long recording takes 4 s
RATHER_LONG_S = 20.0  # more windows than are submitted at once


async def slow(requests: Sequence[InferenceRequest]) -> list[InferenceResult]:
    await asyncio.sleep(EACH_S * len(requests))
    return [InferenceResult(model="sound:1", probabilities=[0.5, 0.5]) for _ in requests]


@pytest.fixture
def context() -> Context:
    nothing: Any = None
    models = {"sound": Model(SOUND, Client("sound:1"), ModelQueue("sound", slow, max_queue_wait_s=MAX_QUEUE_WAIT_S))}
    return Context(Settings(), models, nothing, nothing, nothing, nothing, None)


async def ask(context: Context, seconds: float) -> tuple[Prediction | TooManyRequests, float]:
    started = asyncio.get_running_loop().time()
    try:
        answer = await judged(context, "sound", np.zeros(round(100 * seconds), np.float32))
    except TooManyRequests as error:
        return error, asyncio.get_running_loop().time() - started
    return answer, asyncio.get_running_loop().time() - started


async def test_long_recordings_beyond_the_patience_are_refused_at_once(context: Context) -> None:
    await ask(context, 1.0)  # the throughput is known from now on
    found = await asyncio.gather(*(ask(context, LONG_S) for _ in range(8)))
    refused = [(error, seconds) for error, seconds in found if isinstance(error, TooManyRequests)]
    answered = [seconds for answer, seconds in found if not isinstance(answer, TooManyRequests)]
    assert len(answered) == 1
    assert max(seconds for _, seconds in refused) < answered[0] / 2
    assert all((error.retry_after or 0) >= 1 for error, _ in refused)
    again, _ = await ask(context, RATHER_LONG_S)  # all that was counted is given back
    assert not isinstance(again, TooManyRequests)


async def test_of_a_model_that_has_not_answered_yet_one_long_recording_is_asked(context: Context) -> None:
    found = await asyncio.gather(*(ask(context, LONG_S) for _ in range(8)))
    refused = [answer for answer, _ in found if isinstance(answer, TooManyRequests)]
    assert [error.retry_after for error in refused] == [FIRST_S] * 7


async def test_short_ones_pass_a_long_one_by(context: Context) -> None:
    await ask(context, 1.0)
    long = asyncio.create_task(ask(context, LONG_S))
    await asyncio.sleep(0.05)
    context.ensure_room("sound")
    answer, _ = await ask(context, 2.0)
    assert not isinstance(answer, TooManyRequests)
    assert not long.done()
    long.cancel()


async def test_a_long_one_that_is_given_up_counts_no_more(context: Context) -> None:
    await ask(context, 1.0)
    long = asyncio.create_task(ask(context, LONG_S))
    await asyncio.sleep(0.05)
    assert isinstance((await ask(context, RATHER_LONG_S))[0], TooManyRequests)
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)
    await asyncio.sleep(0.3)
    assert not isinstance((await ask(context, RATHER_LONG_S))[0], TooManyRequests)


async def test_what_is_cut_of_a_long_one_holds_up_nobody(context: Context) -> None:
    """To find the pauses of 600 s took the event loop up to 0.4 s."""
    cut_in: list[threading.Thread] = []

    def steps() -> Steps[Conclusion]:
        cut_in.append(threading.current_thread())
        return (yield from judging("sound", np.zeros(100, np.float32)))

    with context.models["sound"].queue.long_recording(RATHER_LONG_S) as recording:
        await context.asker.follow(steps(), recording)
        recording.announce(LONG_S)
        await context.asker.follow(steps(), recording)
    assert [thread is threading.main_thread() for thread in cut_in] == [True, False]
