"""Calls to a runner: sent again after a broken connection, watched for signs of life, given up when there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import aiohttp
import numpy as np
import pytest
from bentoml.exceptions import BentoMLException

from core.errors import InternalError, Unavailable
from models.messages import InferenceRequest, InferenceResult, ServedModel
from scheduling import runner_client
from scheduling.runner_client import RunnerClient

pytestmark = pytest.mark.anyio

REQUESTS = [InferenceRequest(np.zeros(3, np.float32))]
OUTCOME = InferenceResult(model="m:1", probabilities=[1.0])
SERVED = ServedModel(tag="m:1")


class Remote:
    """What BentoML's proxy would be: answers as it is told, call by call."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures: list[Exception] = []
        self.delay_s = 0.0
        self.ready: ServedModel | Exception = SERVED
        self.probe_delay_s = 0.0
        self.probes = 0
        self.cancelled = 0

    async def predict(self, requests: Sequence[Any]) -> list[InferenceResult]:
        self.calls += 1
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failures:
            raise self.failures.pop(0)
        return [OUTCOME for _ in requests]

    async def served(self) -> ServedModel:
        self.probes += 1
        await asyncio.sleep(self.probe_delay_s)
        if isinstance(self.ready, Exception):
            raise self.ready
        return self.ready


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Remote:
    """With a hundredth of the usual patience."""
    monkeypatch.setattr(runner_client, "PROBE_EVERY_S", 0.02)
    monkeypatch.setattr(runner_client, "PROBE_TIMEOUT_S", 0.02)
    monkeypatch.setattr(runner_client, "RETRY_PAUSE_S", 0.001)
    return Remote()


@pytest.fixture
def client(remote: Remote) -> RunnerClient:
    return RunnerClient("m", SimpleNamespace(to_async=remote))


async def test_an_answer(client: RunnerClient) -> None:
    assert await client.predict(REQUESTS) == [OUTCOME]


class Late(Remote):
    """Answers while it is probed for the last time, and no probe."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()

    async def predict(self, requests: Sequence[Any]) -> list[InferenceResult]:
        await self.answers.wait()
        return [OUTCOME for _ in requests]

    async def served(self) -> ServedModel:
        self.probes += 1
        if self.probes == runner_client.SILENT_PROBES:
            self.answers.set()
            await asyncio.sleep(0.001)
        raise OSError("no answer")


async def test_an_answer_during_the_last_probe_counts(remote: Remote) -> None:
    late = Late()
    assert await RunnerClient("m", SimpleNamespace(to_async=late)).predict(REQUESTS) == [OUTCOME]
    assert late.probes > runner_client.SILENT_PROBES


@pytest.mark.parametrize(
    "broken",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(),
        aiohttp.ClientConnectionError(),
        aiohttp.ClientPayloadError(),  # it died while its answer was sent
    ],
)
async def test_a_broken_connection_is_tried_again(client: RunnerClient, remote: Remote, broken: Exception) -> None:
    remote.failures = [broken, broken]
    assert await client.predict(REQUESTS) == [OUTCOME]
    assert remote.calls == 3


async def test_a_runner_that_cannot_be_reached_is_down(
    client: RunnerClient, remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    remote.failures, remote.ready = [aiohttp.ServerDisconnectedError()] * 3, aiohttp.ClientConnectionError("no route")
    with pytest.raises(Unavailable) as caught:
        await client.predict(REQUESTS)
    assert caught.value.retry_after == runner_client.RETRY_AFTER_S
    assert remote.calls == runner_client.TRIES
    assert [record.__dict__["why"] for record in caplog.records] == ["ClientConnectionError('no route')"]


async def test_one_replica_that_breaks_every_connection_is_not_the_runner(client: RunnerClient, remote: Remote) -> None:
    remote.failures = [aiohttp.ServerDisconnectedError()] * 3
    assert await client.predict(REQUESTS) == [OUTCOME]
    assert (remote.calls, remote.probes) == (4, 1)
    remote.failures = [aiohttp.ServerDisconnectedError()] * 6
    with pytest.raises(Unavailable):
        await client.predict(REQUESTS)


async def test_a_runner_that_is_known_to_be_down_is_asked_nothing(client: RunnerClient, remote: Remote) -> None:
    remote.failures, remote.ready = [aiohttp.ServerDisconnectedError()] * 3, aiohttp.ClientConnectionError()
    with pytest.raises(Unavailable):
        await client.predict(REQUESTS)
    with pytest.raises(Unavailable):
        await client.predict(REQUESTS)
    with pytest.raises(Unavailable):
        client.ensure_up()
    assert (remote.calls, remote.probes) == (3, 4)  # each probe asks twice
    remote.ready = SERVED
    assert await client.predict(REQUESTS) == [OUTCOME]
    client.ensure_up()


@pytest.mark.parametrize("failure", [BentoMLException("the runner's own 500"), aiohttp.InvalidURL("runner")])
async def test_a_failure_of_the_runner_is_not_tried_again(
    client: RunnerClient, remote: Remote, failure: Exception
) -> None:
    remote.failures = [failure]
    with pytest.raises(InternalError, match="the m model failed"):
        await client.predict(REQUESTS)
    assert remote.calls == 1


async def test_slow_work_is_waited_for_as_long_as_the_runner_lives(client: RunnerClient, remote: Remote) -> None:
    remote.delay_s = 0.3
    assert await client.predict(REQUESTS) == [OUTCOME]
    assert remote.probes > 2


async def test_a_silent_runner_is_given_up(client: RunnerClient, remote: Remote) -> None:
    remote.delay_s = remote.probe_delay_s = 60.0
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await client.predict(REQUESTS)
    await asyncio.sleep(0)
    assert remote.cancelled == 1


async def test_a_caller_who_leaves_ends_the_call(client: RunnerClient, remote: Remote) -> None:
    remote.delay_s = 60.0
    task = asyncio.create_task(client.predict(REQUESTS))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert remote.cancelled == 1


@pytest.mark.parametrize("ready", [aiohttp.ClientConnectionError(), OSError(), BentoMLException("x")])
async def test_not_alive(client: RunnerClient, remote: Remote, ready: Exception) -> None:
    remote.ready = ready
    assert not await client.alive()


async def test_a_probe_is_bounded_in_time(client: RunnerClient, remote: Remote) -> None:
    remote.probe_delay_s = 60.0
    async with asyncio.timeout(2):
        assert not await client.alive()


async def test_what_is_served_is_asked_for_once_in_a_while(client: RunnerClient, remote: Remote) -> None:
    assert client.known is None
    assert [(await client.served()).tag for _ in range(5)] == ["m:1"] * 5
    assert remote.probes == 1


async def test_what_is_served_is_asked_for_again(
    client: RunnerClient, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_client, "KNOWN_FOR_S", 0.0)
    assert (await client.served()).tag == "m:1"
    remote.ready = ServedModel(tag="m:2")
    assert (await client.served()).tag == "m:2"
    remote.ready = aiohttp.ClientConnectionError()
    assert (await client.served()).tag == "m:2"  # it is down: an answer from the cache needs it not


async def test_an_answer_of_another_entry_shows_that_the_runner_was_started_again(
    client: RunnerClient, remote: Remote
) -> None:
    remote.ready = ServedModel(tag="m:0")
    await client.served()
    remote.ready = SERVED
    await client.predict(REQUESTS)
    assert client.known == SERVED


async def test_a_runner_that_never_said_what_it_serves(client: RunnerClient, remote: Remote) -> None:
    remote.ready = aiohttp.ClientConnectionError()
    with pytest.raises(Unavailable):
        await client.served()
