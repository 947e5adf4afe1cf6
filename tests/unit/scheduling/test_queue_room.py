"""Which requests a model's queue admits and which it refuses: by the waiting time that it expects, and by memory."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest

from core.errors import TooManyRequests
from scheduling.queue import MAX_WAITING_BYTES, ModelQueue
from scheduling.throughput import REMEMBERED
from tests.support.queued import Runner, item, known, one_by_one, settle, submit
from tests.support.simulated import anyio_backend, clock  # noqa: F401 - fixtures

pytestmark = pytest.mark.anyio


async def test_refused_when_the_wait_would_be_too_long() -> None:
    runner = Runner()
    runner.delay_s = 0.05
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=0.12)
    await queue.submit(item(0))  # now it knows that one takes about 0.05 s
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(20)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [result for result in results if isinstance(result, TooManyRequests)]
    assert 10 <= len(refused) <= 19  # two or three have room, fewer where the machine is slow
    assert all(error.retry_after is not None and error.retry_after >= 1 for error in refused)
    assert (await queue.submit(item(1))).probabilities == [1.0]


async def test_no_item_is_refused_before_the_throughput_is_known() -> None:
    queue = ModelQueue("m", Runner(), max_queue_wait_s=0.001)
    await asyncio.gather(*(queue.submit(item(value)) for value in range(40)))


async def test_a_runner_that_hangs_from_the_start_does_not_let_every_request_in() -> None:
    """The age of what is under way is all that is known of the throughput."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=0.5)
    tasks = await submit(queue, 10)
    assert queue.expected_wait_s() < 0.5
    await asyncio.sleep(0.1)
    with pytest.raises(TooManyRequests):
        queue.ensure_room()
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_a_runner_that_hangs_later_does_not_either() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner, max_queue_wait_s=0.05)
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
    queue = ModelQueue("m", runner, max_in_flight=2, max_queue_wait_s=0.05)
    await queue.submit(item(0))
    runner.open.clear()
    hanging = asyncio.create_task(queue.submit(item(1)))
    await asyncio.sleep(0.2)
    queue.ensure_room()
    runner.open.set()
    await hanging


async def test_what_is_still_being_read_counts_at_the_door_and_not_behind_it() -> None:
    """Else all of a burst would be let in, and most of it refused only when it has been decoded."""
    queue = ModelQueue("m", Runner(), max_queue_wait_s=10.0)
    await queue.submit(item(0), 4.0)
    known(queue, 1.0)  # seconds for a second of audio
    with contextlib.ExitStack() as reading:
        for _ in range(3):  # the third is the first that may come too late, and takes its chance
            queue.ensure_room()
            reading.enter_context(queue.expect())
        with pytest.raises(TooManyRequests):
            queue.ensure_room()
        await queue.submit(item(1), 4.0)  # was let in before
    queue.ensure_room()


async def test_one_batch_that_was_held_up_does_not_shut_the_door() -> None:
    """A runner that hung or was restarted answers late once; the requests after that are not refused for it."""
    runner = Runner()
    queue = ModelQueue("m", runner, max_queue_wait_s=0.2)
    for delay_s in (0.5, 0.0, 0.0, 0.5):
        runner.delay_s = delay_s
        await queue.submit(item(0))
    runner.delay_s = 0.0
    await asyncio.gather(*(queue.submit(item(value)) for value in range(40)))


async def test_a_runner_that_stays_slow_is_learnt() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=0.05)
    for delay_s in [0.0] * 9 + [0.03] * 9:
        runner.delay_s = delay_s
        await queue.submit(item(0))
    results = await asyncio.gather(*(queue.submit(item(value)) for value in range(20)), return_exceptions=True)
    assert any(isinstance(result, TooManyRequests) for result in results)


async def test_those_let_in_with_a_recording_are_not_refused() -> None:
    """The later windows of a recording wait for the first ones; refusing them would waste these."""
    runner = Runner()
    runner.delay_s = 0.02
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=0.01)
    await queue.submit(item(0))
    await asyncio.gather(*(queue.submit(item(value), admitted=value > 0) for value in range(10)))


@pytest.mark.parametrize(
    ("before", "expected"),
    [((), [7, 8, 8, 9]), ((1.0, 0.1), [7, 8, 8, 9]), ((20.0, 3.0), [13, 16, 19, 22])],
    ids=["the model", "the model, though threads are busy", "threads that are busier"],
)
async def test_each_that_is_refused_is_told_a_time_after_those_before(
    before: tuple[float, ...], expected: list[int]
) -> None:
    """By what one more adds to the longest wait that it would have."""
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=10.0)
    known(queue, 0.5)  # seconds for one item
    tasks = await submit(queue, 28)
    told = []
    for _ in range(4):
        with pytest.raises(TooManyRequests) as refused:
            queue.ensure_room(*before)
        told.append(refused.value.retry_after)
    assert told == expected
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_memory_is_bounded() -> None:
    runner = Runner()
    runner.open.clear()
    queue = ModelQueue("m", runner, bounds=one_by_one)
    large = np.broadcast_to(np.float32(0), MAX_WAITING_BYTES // 4 // 2 + 1)  # half of the bound, and no memory at all
    tasks = []
    for _ in range(2):  # one under way, one waiting
        tasks.append(asyncio.create_task(queue.submit(large)))
        await settle()
    with pytest.raises(TooManyRequests):
        await queue.submit(large)
    tasks.append(asyncio.create_task(queue.submit(large[:-2])))  # which is all that there is room for
    await settle()
    assert not tasks[-1].done()
    with pytest.raises(TooManyRequests):
        await queue.submit(item(0))
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_an_idle_queue_expects_no_wait() -> None:
    runner = Runner()
    runner.delay_s = 0.01
    queue = ModelQueue("m", runner)
    await queue.submit(item(1), 5.0)
    assert queue.expected_wait_s() == 0


async def test_those_who_come_back_when_told_find_room() -> None:
    """Of a crowd all were told the same second, and of those who came back then most were refused again."""
    runner = Runner()
    runner.delay_s = 0.1
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=0.8)
    for value in range(REMEMBERED):
        await queue.submit(item(value))
    returned: list[bool] = []

    async def call(value: float) -> None:
        for attempt in range(20):
            try:
                queue.ensure_room()
            except TooManyRequests as refused:
                returned.extend([False] * (attempt > 0))
                await asyncio.sleep(refused.retry_after or 0)
                continue
            returned.extend([True] * (attempt > 0))
            with queue.expect():
                await asyncio.sleep(0)  # its body is decoded
            await queue.submit(item(value))
            return

    await asyncio.gather(*(call(value) for value in range(40)))
    assert len(runner.batches) == REMEMBERED + 40
    assert len(returned) >= 20
    assert returned.count(True) >= 0.8 * len(returned)
