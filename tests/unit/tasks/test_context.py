"""What the operations share: recordings window by window, and answers joined from their parts."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from core.errors import BadRequest, InternalError
from core.request import CURRENT, RequestState
from core.settings import Settings
from models.messages import InferenceRequest, InferenceResult, ServedModel
from models.published.checkpoint import Checkpoint, Waveform
from models.spec import AudioInput, ImageInput, ModelSpec
from scheduling.queue import Model, ModelQueue
from tasks.asking import WINDOWS_AT_ONCE
from tasks.base import Answered
from tasks.run import Context
from tests.support.queued import Client, judged
from tests.support.simulated import anyio_backend, clock  # noqa: F401 - fixtures

pytestmark = pytest.mark.anyio

SOUND = ModelSpec("sound", "sound", "Sound", ("low", "high"), AudioInput(100, 1.0), "", "", "")
PICTURE = ModelSpec("picture", "picture", "Picture", ("a", "b"), ImageInput(4), "", "", "")


class Runner:
    """Says how high the mean of an item is; -1 cannot be judged, -2 fails."""

    def __init__(self) -> None:
        self.items = 0
        self.most_at_once = 0
        self.costs: list[float] = []

    async def __call__(self, requests: Sequence[InferenceRequest]) -> list[InferenceResult]:
        self.items += len(requests)
        self.costs += [request.cost for request in requests]
        self.most_at_once = max(self.most_at_once, len(requests))
        await asyncio.sleep(0.001)
        return [self._judge(float(request.item.mean())) for request in requests]

    def _judge(self, mean: float) -> InferenceResult:
        if mean == -1:
            return InferenceResult(model="sound:1", error="too quiet", kind="invalid")
        if mean == -2:
            return InferenceResult(model="sound:1", error="the sound model failed", kind="failed")
        return InferenceResult(model="sound:1", probabilities=[1 - mean, mean], extras={"mean": mean})


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def context(runner: Runner) -> Context:
    """One audio and one picture model, and nothing else."""
    nothing: Any = None
    models = {
        spec.name: Model(spec, Client(f"{spec.name}:1"), ModelQueue(spec.name, runner)) for spec in (SOUND, PICTURE)
    }
    return Context(
        settings=Settings(), models=models, threads=nothing, fetcher=nothing, cache=nothing, latest=nothing, redis=None
    )


def level(value: float, seconds: float) -> NDArray[np.float32]:
    return np.full(round(100 * seconds), value, np.float32)


async def test_a_short_recording_is_one_item(context: Context, runner: Runner) -> None:
    answer = await judged(context, "sound", level(0.25, 0.5))
    assert answer.best == "low"
    assert dict(answer.probabilities) == pytest.approx({"low": 0.75, "high": 0.25})
    assert dict(answer.extras) == {"mean": 0.25}
    assert runner.items == 1


async def test_a_long_recording_is_judged_over_all_of_it(context: Context, runner: Runner) -> None:
    samples = np.concatenate([level(0.0, 1.0), level(1.0, 3.0)])
    answer = await judged(context, "sound", samples)
    assert runner.items == 4
    assert [window["high"] for window in answer.windows] == [0, 1, 1, 1]
    assert answer.probabilities["high"] == pytest.approx(0.75)
    assert answer.extras["mean"] == pytest.approx(0.75)  # and not what the first window has
    assert sum(answer.probabilities.values()) == pytest.approx(1)


async def test_an_item_reaches_its_runner_with_its_cost(context: Context, runner: Runner) -> None:
    """Which cuts batches by it: seconds of a window, or 1 for a picture."""
    await judged(context, "sound", level(0.5, 2.5))
    await judged(context, "picture", np.zeros((4, 4, 3), np.uint8))
    assert runner.costs == pytest.approx([0.84, 0.83, 0.83, 1.0])


def test_windows_that_are_certain_make_no_more_than_certain() -> None:
    """The schemas of the answers allow no probability above 1, and a weighted mean may be rounded to more."""
    rng = np.random.default_rng(0)
    for count in rng.integers(2, 40, 50).tolist():
        results = [InferenceResult(model="sound:1", probabilities=[0.0, 1.0])] * count
        answered = Answered(SOUND, [level(1.0, 1.0)] * count, results)
        assert answered.join(rng.uniform(0.1, 30.0, count).tolist()).probabilities["high"] <= 1.0


async def test_a_long_recording_leaves_room_for_others(context: Context, runner: Runner) -> None:
    await judged(context, "sound", level(0.5, 100.0))
    assert runner.items == 100
    assert runner.most_at_once <= WINDOWS_AT_ONCE


async def test_a_window_that_cannot_be_judged(context: Context) -> None:
    with pytest.raises(BadRequest, match="too quiet"):
        await judged(context, "sound", np.concatenate([level(0.5, 1.0), level(-1, 1.0)]))


async def test_a_window_that_the_model_fails_on(context: Context) -> None:
    with pytest.raises(InternalError, match="failed"):
        await judged(context, "sound", np.concatenate([level(0.5, 1.0), level(-2, 1.0)]))


async def test_the_request_remembers_which_models_answered(context: Context) -> None:
    state = RequestState("id")
    token = CURRENT.set(state)
    await judged(context, "sound", level(0.5, 2.5))
    await judged(context, "picture", np.zeros((4, 4, 3), np.uint8))
    CURRENT.reset(token)
    assert state.models == ["sound:1"]


async def test_the_time_of_decoding_is_that_in_the_thread(context: Context) -> None:
    """Waiting for a thread is no work, and makes a busy machine look like slow files."""

    def total() -> float:
        return REGISTRY.get_sample_value("bundle_decode_seconds_sum", {"model": "sound", "kind": "toy"}) or 0.0

    before = total()
    with ThreadPoolExecutor(1) as one:
        context = dataclasses.replace(context, threads=one)
        await asyncio.gather(*(context.decoder.timed("sound", "toy", lambda: time.sleep(0.05), 1) for _ in range(8)))
    assert 0.4 <= total() - before < 1.2  # and not 0.05 + 0.1 + ... + 0.4


async def test_a_picture_is_not_audio(context: Context) -> None:
    with pytest.raises(TypeError):
        context.asker.audio_input("picture")


async def test_leaving_cancels_the_windows(context: Context, runner: Runner) -> None:
    task = asyncio.create_task(judged(context, "sound", level(0.5, 500.0)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.05)
    seen = runner.items
    await asyncio.sleep(0.05)
    assert runner.items == seen < 500


async def test_a_recording_is_cut_anew_for_the_checkpoint_that_answers(context: Context, runner: Runner) -> None:
    """The API learns from the answer that the runner serves another, which takes windows of another length."""
    client: Any = context.models["sound"].client
    checkpoint = Checkpoint(
        origin="there", revision="", licence="", architecture="", library="", labels=(), outputs="logits",
        fed=Waveform(sample_rate=100, samples=200, fill="zeros", normalise=False),
    )  # fmt: skip

    async def learn(requests: Sequence[InferenceRequest]) -> list[InferenceResult]:
        client.known = ServedModel(tag="sound:2", checkpoint=checkpoint)
        return await runner(requests)

    context.models["sound"].queue.call = learn
    answer = await judged(context, "sound", level(0.25, 4.0))
    assert (len(answer.windows), runner.items) == (2, 4 + 2)
