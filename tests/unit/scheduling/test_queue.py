"""The queue in front of a model: batches, lanes, failures, and callers who leave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY

from core.errors import InternalError, Unavailable
from core.request import CURRENT, RequestState
from core.settings import BatchBounds
from models.messages import InferenceRequest, InferenceResult
from scheduling.queue import AHEAD_S, BATCH_S, ModelQueue
from tests.support.queued import Runner, item, known, one_by_one, settle, submit
from tests.support.simulated import anyio_backend, clock  # noqa: F401 - fixtures

pytestmark = pytest.mark.anyio


async def test_each_caller_gets_its_own_answer() -> None:
    queue = ModelQueue("m", Runner())
    outcomes = await asyncio.gather(*(queue.submit(item(value)) for value in range(50)))
    assert [outcome.probabilities for outcome in outcomes] == [[float(value)] for value in range(50)]


async def test_an_item_is_sent_with_the_id_of_its_request() -> None:
    """For the runner's log, whose process does not see the request; items that wait together may be of several."""
    sent: list[InferenceRequest] = []
    runner = Runner()

    async def call(requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        sent.extend(requests)
        return await runner(requests)

    async def ask(name: str) -> None:
        if name:
            CURRENT.set(RequestState(name))
        await queue.submit(item(1))

    queue = ModelQueue("m", call)
    await asyncio.gather(*(asyncio.create_task(ask(name)) for name in ("first", "", "second")))
    assert [request.request_id for request in sent] == ["first", "", "second"]
    assert [request.cost for request in sent] == [1.0] * 3  # as of a picture, where nothing else is said


async def test_lengths_whose_sum_rounds_up_do_not_close_the_lane() -> None:
    queue = ModelQueue("m", Runner())
    for _ in range(2):
        async with asyncio.timeout(5):
            await asyncio.gather(*(queue.submit(item(1.0), 2.53525) for _ in range(16)))


async def test_what_waits_goes_together() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner)
    await asyncio.gather(*(queue.submit(item(value)) for value in range(9)))
    assert len(runner.batches) <= 2  # the first alone or with all, never one by one


async def test_no_item_waits_for_batch_mates() -> None:
    queue = ModelQueue("m", Runner())
    async with asyncio.timeout(0.5):
        await queue.submit(item(1))


async def test_bounds_of_a_batch() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, bounds=lambda: BatchBounds(4, 10.0))
    tasks = [asyncio.create_task(queue.submit(item(value), cost)) for value, cost in enumerate([1.0] * 6 + [9.0, 20.0])]
    await settle()
    runner.open.set()
    await asyncio.gather(*tasks)
    costs = {**{float(value): 1.0 for value in range(6)}, 6.0: 9.0, 7.0: 20.0}
    for batch in runner.batches:
        assert len(batch) <= 4
        assert len(batch) == 1 or max(costs[value] for value in batch) * len(batch) <= 10.0
    assert sorted(value for batch in runner.batches for value in batch) == sorted(costs)


@pytest.mark.parametrize(
    ("unit_s", "largest"), [(10.0, 1), (BATCH_S / 3, 3), (1e-9, 5)], ids=["slow", "middling", "fast"]
)
async def test_a_slow_model_makes_no_item_wait_for_batch_mates(unit_s: float, largest: int) -> None:
    """What takes long alone is not made longer by batches; what is fast takes as many as the budget allows."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, bounds=lambda: BatchBounds(cost=5.0), max_queue_wait_s=1000.0)
    known(queue, unit_s)
    tasks = await submit(queue, 5)
    runner.open.set()
    await asyncio.gather(*tasks)
    assert max(len(batch) for batch in runner.batches) == largest


async def test_as_many_batches_under_way_as_lanes() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, max_in_flight=2, bounds=one_by_one)
    tasks = await submit(queue, 5)
    assert len(runner.batches) == 2
    runner.open.set()
    await asyncio.gather(*tasks)
    assert len(runner.batches) == 5


@pytest.mark.parametrize(
    ("unit_s", "cost", "batches"),
    [(AHEAD_S / 2, 1.0, 3), (AHEAD_S * 2, 1.0, 2), (AHEAD_S / 2, 4.0, 2), (AHEAD_S * 2, 0.25, 3)],
    ids=["fast", "slow", "fast, of long items", "slow, of short items"],
)
async def test_one_batch_more_is_sent_to_a_fast_model(unit_s: float, cost: float, batches: int) -> None:
    """Which is there when the one before is done; a slow model's waits where it may still be dropped."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, max_in_flight=2, bounds=one_by_one, max_queue_wait_s=1000.0)
    known(queue, unit_s)
    tasks = [asyncio.create_task(queue.submit(item(value), cost)) for value in range(5)]
    await settle()
    assert len(runner.batches) == batches
    runner.open.set()
    await asyncio.gather(*tasks)
    assert len(runner.batches) == 5


async def test_a_model_that_becomes_slow_is_sent_nothing_ahead_any_more() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=1000.0)
    queue.throughput.note(AHEAD_S / 2)
    runner.open.clear()
    tasks = await submit(queue, 5)
    assert len(runner.batches) == 2
    known(queue, AHEAD_S * 2)
    runner.delay_s = 0.01
    runner.open.set()
    await asyncio.gather(*tasks[:2])
    assert len(runner.batches) == 3
    await asyncio.gather(*tasks)


async def test_a_caller_who_has_gone_costs_nothing() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, bounds=one_by_one)
    tasks = await submit(queue, 3)
    tasks[1].cancel()
    runner.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert runner.batches == [[0.0], [2.0]]


async def test_the_time_that_each_item_waited_is_recorded() -> None:
    def waited(what: str) -> float:
        return REGISTRY.get_sample_value(f"bundle_queue_seconds_{what}", {"model": "waiting"}) or 0.0

    count, seconds = waited("count"), waited("sum")
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("waiting", runner, bounds=one_by_one)
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(3)]
    await asyncio.sleep(0.5)
    runner.open.set()
    await asyncio.gather(*tasks)
    assert waited("count") - count == 3
    assert waited("sum") - seconds == pytest.approx(2 * 0.5)  # the first was sent at once


async def test_leaving_while_the_batch_is_under_way_harms_no_other() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner)
    first = asyncio.create_task(queue.submit(item(1)))
    await settle()
    first.cancel()
    await settle()
    runner.open.set()
    assert (await queue.submit(item(2))).probabilities == [2.0]


async def test_a_wrong_number_of_answers_is_an_error() -> None:
    """BentoML passes such a list on; no request may get another one's answer."""
    runner = Runner()
    runner.short_by = 1
    queue = ModelQueue("m", runner)
    results = await asyncio.gather(*(queue.submit(item(value)) for value in range(3)), return_exceptions=True)
    assert all(isinstance(result, InternalError) for result in results)


async def test_a_failure_reaches_all_of_the_batch_and_no_other() -> None:
    runner = Runner()
    runner.error = Unavailable("down", retry_after=3)
    queue = ModelQueue("m", runner)
    results = await asyncio.gather(*(queue.submit(item(value)) for value in range(3)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    runner.error = None
    assert (await queue.submit(item(7))).probabilities == [7.0]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()], ids=["cancelled", "ended"])
async def test_a_call_that_is_broken_off_fails_and_the_lane_lives_on(error: BaseException) -> None:
    """Neither the items of the batch nor those behind it, nor any later one, may wait for ever."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, bounds=one_by_one)
    tasks = await submit(queue, 3)
    runner.error = error
    runner.open.set()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [InternalError] * 3
    assert {str(result) for result in results} == {"the call of the m model was broken off"}
    runner.error = None
    async with asyncio.timeout(5):
        assert (await queue.submit(item(7))).probabilities == [7.0]


async def test_where_no_batch_can_be_chosen_all_who_wait_get_the_failure() -> None:
    """One sender after the other would try again, and leave the event loop to nothing else."""
    broken = ValueError("no bounds")
    found: list[BatchBounds] = []

    def bounds() -> BatchBounds:
        if not found:
            raise broken
        return found[0]

    queue = ModelQueue("broken", Runner(), bounds=bounds)
    async with asyncio.timeout(5):
        tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(3)]
        await asyncio.sleep(0)  # they wait, and no batch has been chosen
        tasks[0].cancel()
        results = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert results == [broken] * 2
    assert REGISTRY.get_sample_value("bundle_queue_depth", {"model": "broken"}) == 0, "each leaves the line once"
    found.append(BatchBounds())
    assert (await queue.submit(item(7))).probabilities == [7.0]


async def test_a_runner_that_is_down_fails_all_who_wait_at_once() -> None:
    """Each batch would otherwise wait for a probe of its own."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, bounds=one_by_one)
    tasks = await submit(queue, 20)
    runner.error = Unavailable("down", retry_after=3)
    runner.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results == [runner.error] * 20
    assert len(runner.batches) == 1
    runner.error = None
    assert (await queue.submit(item(7))).probabilities == [7.0]


async def test_while_a_runner_is_down_one_looks_whether_it_is_back_and_others_are_told_at_once() -> None:
    runner, down = Runner(), Unavailable("down", retry_after=3)

    def ensure_up() -> None:
        raise down

    queue = ModelQueue("m", runner, bounds=one_by_one, ensure_up=ensure_up)
    runner.open.clear()
    queue.ensure_room()
    looking = asyncio.create_task(queue.submit(item(1)))
    await settle()
    for refused in (queue.ensure_room, lambda: queue.submit(item(2)).send(None)):
        with pytest.raises(Unavailable) as caught:
            refused()
        assert caught.value is down
    runner.open.set()
    assert (await looking).probabilities == [1.0]
    queue.ensure_room()
