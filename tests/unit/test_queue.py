"""The queue in front of a model: batches, bounds, refusals, and callers who leave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from core.errors import InternalError, TooManyRequests, Unavailable
from operations.pace import REMEMBERED
from operations.queue import AHEAD_S, BATCH_S, MAX_WAITING_BYTES, ModelQueue
from runners.outcome import Outcome
from runners.parcel import Parcel

pytestmark = pytest.mark.anyio


class Runner:
    """Answers with the first value of each item; can be held up, made to fail, or to answer too few."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: BaseException | None = None
        self.short_by = 0
        self.delay_s = 0.0

    async def __call__(self, parcels: Sequence[Parcel]) -> Sequence[Outcome]:
        items = [parcel.item for parcel in parcels]
        self.batches.append([float(item[0]) for item in items])
        await self.open.wait()
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        answers = [Outcome(model="m:1", probabilities=[float(item[0])]) for item in items]
        return answers[: len(answers) - self.short_by]


def item(value: float) -> NDArray[np.float32]:
    return np.array([value], np.float32)


async def settle() -> None:
    """Lets every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_everybody_gets_his_own_answer() -> None:
    queue = ModelQueue("m", Runner())
    outcomes = await asyncio.gather(*(queue.submit(item(value)) for value in range(50)))
    assert [outcome.probabilities for outcome in outcomes] == [[float(value)] for value in range(50)]


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


async def test_nobody_waits_for_company() -> None:
    queue = ModelQueue("m", Runner())
    async with asyncio.timeout(0.5):
        await queue.submit(item(1))


async def test_bounds_of_a_batch() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, most=4, budget=10.0)
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
    ("pace_s", "largest"), [(10.0, 1), (BATCH_S / 3, 3), (1e-9, 5)], ids=["slow", "middling", "fast"]
)
async def test_a_slow_model_makes_nobody_wait_for_company(pace_s: float, largest: int) -> None:
    """What takes long alone is not made longer by batches; what is fast takes as many as the budget allows."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, budget=5.0, patience_s=1000.0)
    queue._pace._times.extend([pace_s] * REMEMBERED)  # more than the few batches of this test can change
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(5)]
    await settle()
    runner.open.set()
    await asyncio.gather(*tasks)
    assert max(len(batch) for batch in runner.batches) == largest


async def test_as_many_batches_under_way_as_lanes() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, lanes=2, most=1)
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(5)]
    await settle()
    assert len(runner.batches) == 2
    runner.open.set()
    await asyncio.gather(*tasks)
    assert len(runner.batches) == 5


@pytest.mark.parametrize(("pace_s", "batches"), [(AHEAD_S / 2, 3), (AHEAD_S * 2, 2)], ids=["fast", "slow"])
async def test_one_batch_more_is_sent_to_a_fast_model(pace_s: float, batches: int) -> None:
    """Which is there when the one before is done; a slow model's waits where it may still be dropped."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, lanes=2, most=1, patience_s=1000.0)
    queue._pace._times.extend([pace_s] * REMEMBERED)
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(5)]
    await settle()
    assert len(runner.batches) == batches
    runner.open.set()
    await asyncio.gather(*tasks)
    assert len(runner.batches) == 5


async def test_a_model_that_becomes_slow_is_sent_nothing_ahead_any_more() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner, most=1, patience_s=1000.0)
    queue._pace._times.append(AHEAD_S / 2)
    runner.open.clear()
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(5)]
    await settle()
    assert len(queue._tasks) == 2
    queue._pace._times.extend([AHEAD_S * 2] * REMEMBERED)  # more than the few batches of this test can change
    runner.delay_s = 0.01
    runner.open.set()
    await asyncio.gather(*tasks[:2])
    assert len(queue._tasks) == 1
    await asyncio.gather(*tasks)


async def test_a_caller_who_has_gone_costs_nothing() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, most=1)
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(3)]
    await settle()
    tasks[1].cancel()
    runner.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert runner.batches == [[0.0], [2.0]]


async def test_the_time_that_each_item_waited_is_recorded() -> None:
    def waited(what: str) -> float:
        return REGISTRY.get_sample_value(f"bundle_queue_seconds_{what}", {"model": "waiting"}) or 0.0

    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("waiting", runner, most=1)
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(3)]
    await asyncio.sleep(0.05)
    runner.open.set()
    await asyncio.gather(*tasks)
    assert waited("count") == 3
    assert waited("sum") >= 2 * 0.05


async def test_leaving_while_the_batch_is_under_way_harms_nobody() -> None:
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
    """BentoML passes such a list on; nobody must get somebody else's answer."""
    runner = Runner()
    runner.short_by = 1
    queue = ModelQueue("m", runner)
    results = await asyncio.gather(*(queue.submit(item(value)) for value in range(3)), return_exceptions=True)
    assert all(isinstance(result, InternalError) for result in results)


async def test_a_failure_reaches_all_of_the_batch_and_nobody_else() -> None:
    runner = Runner()
    runner.error = Unavailable("down", retry_after=3)
    queue = ModelQueue("m", runner)
    results = await asyncio.gather(*(queue.submit(item(value)) for value in range(3)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    runner.error = None
    assert (await queue.submit(item(7))).probabilities == [7.0]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()], ids=["cancelled", "ended"])
async def test_a_call_that_is_broken_off_fails_and_the_lane_lives_on(error: BaseException) -> None:
    """Neither those of the batch nor those behind it, nor anybody later, may wait for ever."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, most=1)
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(3)]
    await settle()
    runner.error = error
    runner.open.set()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [InternalError] * 3
    runner.error = None
    async with asyncio.timeout(5):
        assert (await queue.submit(item(7))).probabilities == [7.0]


async def test_a_runner_that_is_down_fails_all_who_wait_at_once() -> None:
    """Each batch would otherwise wait for a probe of its own."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, most=1)
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(20)]
    await settle()
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

    queue = ModelQueue("m", runner, most=1, ensure_up=ensure_up)
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


async def test_refused_when_the_wait_would_be_too_long() -> None:
    runner = Runner()
    runner.delay_s = 0.05
    queue = ModelQueue("m", runner, most=1, patience_s=0.12)
    await queue.submit(item(0))  # now it knows that one takes about 0.05 s
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(20)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [result for result in results if isinstance(result, TooManyRequests)]
    assert 10 <= len(refused) <= 19  # two or three have room, fewer where the machine is slow
    assert all(error.retry_after is not None and error.retry_after >= 1 for error in refused)
    assert (await queue.submit(item(1))).probabilities == [1.0]


async def test_nobody_is_refused_before_the_pace_is_known() -> None:
    queue = ModelQueue("m", Runner(), patience_s=0.001)
    await asyncio.gather(*(queue.submit(item(value)) for value in range(40)))


async def test_a_runner_that_hangs_from_the_start_does_not_let_everybody_in() -> None:
    """The age of what is under way is all that is known of the pace."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, most=1, patience_s=0.5)
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(10)]
    await settle()
    assert queue.expected_wait_s() < 0.5
    await asyncio.sleep(0.1)
    with pytest.raises(TooManyRequests):
        queue.ensure_room()
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_a_runner_that_hangs_later_does_not_either() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner, patience_s=0.05)
    await queue.submit(item(0))
    runner.open.clear()
    hanging = asyncio.create_task(queue.submit(item(1)))
    await settle()
    queue.ensure_room()
    await asyncio.sleep(0.2)
    with pytest.raises(TooManyRequests):
        queue.ensure_room()
    runner.open.set()
    await hanging


async def test_one_lane_that_hangs_does_not_shut_the_others() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner, lanes=2, patience_s=0.05)
    await queue.submit(item(0))
    runner.open.clear()
    hanging = asyncio.create_task(queue.submit(item(1)))
    await asyncio.sleep(0.2)
    queue.ensure_room()
    runner.open.set()
    await hanging


async def test_what_is_still_being_read_counts_at_the_door_and_not_behind_it() -> None:
    """Else all of a burst would be let in, and most of it refused only when it has been decoded."""
    queue = ModelQueue("m", Runner(), patience_s=10.0)
    await queue.submit(item(0), 4.0)
    queue._pace._times.extend([1.0] * REMEMBERED)  # seconds for a second of audio
    with contextlib.ExitStack() as reading:
        for _ in range(3):  # the third is the first that may come too late, and takes its chance
            queue.ensure_room()
            reading.enter_context(queue.coming())
        with pytest.raises(TooManyRequests):
            queue.ensure_room()
        await queue.submit(item(1), 4.0)  # was let in before
    queue.ensure_room()


async def test_one_batch_that_was_held_up_does_not_shut_the_door() -> None:
    """A runner that hung or was restarted answers late once; whoever comes then is not made to pay for it."""
    runner = Runner()
    queue = ModelQueue("m", runner, patience_s=0.2)
    for delay_s in (0.5, 0.0, 0.0, 0.5):
        runner.delay_s = delay_s
        await queue.submit(item(0))
    runner.delay_s = 0.0
    await asyncio.gather(*(queue.submit(item(value)) for value in range(40)))


async def test_a_runner_that_stays_slow_is_learnt() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner, most=1, patience_s=0.05)
    for delay_s in [0.0] * 9 + [0.03] * 9:
        runner.delay_s = delay_s
        await queue.submit(item(0))
    results = await asyncio.gather(*(queue.submit(item(value)) for value in range(20)), return_exceptions=True)
    assert any(isinstance(result, TooManyRequests) for result in results)


async def test_those_let_in_with_a_recording_are_not_refused() -> None:
    """The later windows of a recording wait for the first ones; refusing them would waste these."""
    runner = Runner()
    runner.delay_s = 0.02
    queue = ModelQueue("m", runner, most=1, patience_s=0.01)
    await queue.submit(item(0))
    await asyncio.gather(*(queue.submit(item(value), admitted=value > 0) for value in range(10)))


async def test_memory_is_bounded() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, most=1)
    large = np.broadcast_to(np.float32(0), MAX_WAITING_BYTES // 4 // 2 + 1)  # half of the bound, and no memory at all
    tasks = []
    for _ in range(2):  # one under way, one waiting
        tasks.append(asyncio.create_task(queue.submit(large)))
        await settle()
    with pytest.raises(TooManyRequests):
        await queue.submit(large)
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_an_idle_queue_expects_no_wait() -> None:
    runner = Runner()
    runner.delay_s = 0.01
    queue = ModelQueue("m", runner)
    await queue.submit(item(1), 5.0)
    assert queue.expected_wait_s() == 0
