"""What failed requests had in hand is free when they are answered, without a garbage collection."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from starlette.types import Receive, Scope, Send

from core.errors import InternalError, ServiceError, TimedOut, Unavailable
from core.settings import BatchBounds, Settings
from models.messages import InferenceRequest, InferenceResult, ServedModel
from models.spec import AudioInput, ModelSpec
from scheduling import runner_client
from scheduling.queue import Model, ModelQueue
from scheduling.runner_client import RunnerClient
from storage.cache import SingleFlight
from tasks.run import Context
from tests.support.fetching import fetcher
from tests.support.http_site import raw, serve
from tests.support.queued import Client, judged
from tests.unit.api.test_limits import Connection, run

pytestmark = pytest.mark.anyio

ROUNDS = 8
BIG = 4_000_000  # bytes that each round has in hand


@pytest.fixture(autouse=True)
def _nothing_is_collected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


async def kept(ask: Callable[[int], Awaitable[object]]) -> int:
    """Bytes that are still there after some failures."""
    with pytest.raises(ServiceError):
        await ask(0)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1, ROUNDS):
        try:
            await ask(number)
        except ServiceError:
            continue
        pytest.fail("it was answered")
    await asyncio.sleep(0)
    return tracemalloc.get_traced_memory()[0] - before


async def test_a_flight_that_failed() -> None:
    single_flight: SingleFlight[bytes] = SingleFlight()

    async def failing() -> bytes:
        data = bytearray(BIG)
        await asyncio.sleep(0)
        raise TimedOut(f"{len(data)} bytes were not enough")

    assert await kept(lambda number: single_flight.join(str(number), failing)) < BIG


@pytest.mark.parametrize("tail", [b"", None], ids=["it breaks off", "it stalls"])
async def test_a_download_that_failed(tail: bytes | None) -> None:
    async def most(writer: asyncio.StreamWriter) -> None:
        writer.write(raw(f"HTTP/1.1 200 OK\nContent-Length: {BIG + 1}", bytes(BIG)))
        await writer.drain()
        if tail is None:
            await asyncio.sleep(30)

    single_flight: SingleFlight[Any] = SingleFlight()
    async with serve({"/": most}) as site, fetcher(max_bytes=2 * BIG, idle_s=0.3) as one:
        assert await kept(lambda number: single_flight.join(str(number), lambda: one.fetch(site.url("/")))) < BIG


async def test_a_download_that_was_too_slow_as_a_whole() -> None:
    async def most(writer: asyncio.StreamWriter) -> None:
        writer.write(raw(f"HTTP/1.1 200 OK\nContent-Length: {BIG + 1}", bytes(BIG)))
        await asyncio.sleep(30)

    async with serve({"/": most}) as site, fetcher(max_bytes=2 * BIG, timeout_s=0.5) as one:
        assert await kept(lambda number: one.fetch(site.url("/"))) < BIG


@pytest.mark.parametrize("failure", [InternalError("it broke"), None], ids=["it fails", "it hangs"])
async def test_an_application_that_failed_with_a_body(failure: ServiceError | None) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"] + b"1"
        if failure is not None:
            raise type(failure)(f"with {len(body)}")
        await asyncio.sleep(30)

    async def ask(number: int) -> None:
        await run(Connection(bytes(BIG)), app, max_body_bytes=2 * BIG, timeout_s=0.1)
        raise TimedOut("as all the others")

    assert await kept(ask) < BIG


class Down:
    """A runner that fails on everything."""

    async def __call__(self, requests: Sequence[InferenceRequest]) -> list[InferenceResult]:
        await asyncio.sleep(0)
        raise Unavailable("the runner is down")


def asking(queue: ModelQueue) -> Context:
    """A context of one model, whose items wait in a queue."""
    nothing: Any = None
    spec = ModelSpec("sound", "sound", "Sound", ("low", "high"), AudioInput(100, 10.0), "", "", "")
    return Context(
        Settings(), {"sound": Model(spec, Client("sound:1"), queue)}, nothing, nothing, nothing, nothing, None
    )


async def test_a_recording_whose_runner_failed() -> None:
    context = asking(ModelQueue("sound", Down()))
    assert await kept(lambda number: judged(context, "sound", np.zeros(BIG // 4, np.float32))) < BIG


async def test_a_recording_for_which_no_batch_could_be_chosen() -> None:
    def bounds() -> BatchBounds:
        raise InternalError("no bounds")

    context = asking(ModelQueue("sound", Down(), bounds=bounds))
    assert await kept(lambda number: judged(context, "sound", np.zeros(BIG // 4, np.float32))) < BIG


async def test_a_batch_that_a_runner_failed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Proxy:
        to_async: Any

        async def predict(self, requests: Sequence[InferenceRequest]) -> None:
            await asyncio.sleep(0)
            raise TimeoutError

        async def served(self) -> ServedModel:
            return ServedModel(tag="sound:1")

    proxy = Proxy()
    proxy.to_async = proxy
    client = RunnerClient("sound", proxy)
    monkeypatch.setattr(runner_client.log, "disabled", True)
    assert await kept(lambda _: client.predict([InferenceRequest(np.zeros(BIG // 4, np.float32))])) < BIG
