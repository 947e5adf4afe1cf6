"""BentoML's batcher in a runner: a lone request does not wait, and those that wait go together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest
from _bentoml_impl.server import app

from runners.base import LARGEST_BATCH
from runners.batcher import BatchSlots

pytestmark = pytest.mark.anyio

WORK_S = 0.15
MAX_LATENCY_MS = 60_000  # BentoML's own


class Batched:
    """The batcher that BentoML's server makes for a runner, in front of work that takes its time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun: list[float] = []
        self._dispatcher: app.CorkDispatcher[list[int], list[int]] = app.CorkDispatcher(
            MAX_LATENCY_MS, LARGEST_BATCH, fallback=list, get_batch_size=len
        )
        self.call = self._dispatcher(self._work)

    async def _work(self, calls: Sequence[list[int]]) -> list[list[int]]:
        self.begun.append(time.monotonic())
        self.sizes.append(sum(map(len, calls)))
        await asyncio.sleep(WORK_S)
        return list(calls)

    def end(self) -> None:
        self._dispatcher.shutdown()


@pytest.fixture
def batched() -> Iterator[Batched]:
    made = Batched()
    yield made
    made.end()


async def test_a_lone_caller_never_waits(batched: Batched) -> None:
    """As it comes, the batcher holds back the tenth and eleventh call after a start for two to three times the work."""
    waited = []
    for number in range(15):
        asked = time.monotonic()
        assert await batched.call([number]) == [number]
        waited.append(batched.begun[-1] - asked)
    assert sorted(waited)[-2] < WORK_S / 2  # one may be held up by the machine
    assert batched.sizes == [1] * 15


async def test_what_waits_meanwhile_goes_together(batched: Batched) -> None:
    for _ in range(12):
        await batched.call([0])
    first = asyncio.ensure_future(batched.call([1]))
    await asyncio.sleep(WORK_S / 5)
    others = await asyncio.gather(*(batched.call([number, number]) for number in range(5)))
    assert others == [[number, number] for number in range(5)]
    assert await first == [1]
    assert batched.sizes[12:] == [1, 10]


async def test_the_batcher_does_not_poll_whether_the_model_is_free(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it comes, the batcher sleeps for this time, and then looks again: a millisecond, here much longer."""
    monkeypatch.setattr(app.CorkDispatcher, "TICKET_INTERVAL", 30.0)
    asked = [asyncio.ensure_future(batched.call([0]))]
    await asyncio.sleep(WORK_S / 5)
    asked += [asyncio.ensure_future(batched.call([number])) for number in (1, 2)]
    async with asyncio.timeout(10):
        assert await asyncio.gather(*asked) == [[0], [1], [2]]
    assert batched.sizes == [1, 2]


async def test_as_many_batches_at_once_as_the_engine_computes(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchSlots, "most", 2)
    asked = []
    for number in range(4):
        asked.append(asyncio.ensure_future(batched.call([number])))
        await asyncio.sleep(WORK_S / 10)
    assert batched.sizes == [1, 1]
    assert await asyncio.gather(*asked) == [[0], [1], [2], [3]]
    assert batched.sizes == [1, 1, 2]
