"""Single flight: a key is computed once for all who ask at the same time, as long as a caller waits."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from core import memory
from core.memory import Budget
from storage.cache import SingleFlight
from tests.support.queued import settle

pytestmark = pytest.mark.anyio


class Computation:
    """Counts its runs, ends when it is let, and says whether it was cancelled."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.open = asyncio.Event()
        self.ended = asyncio.Event()  # what it does after it was cancelled
        self.ended.set()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)  # ends a little later than it is cancelled
            await self.ended.wait()
            raise
        if self.error is not None:
            raise self.error
        return run


async def ask(single_flight: SingleFlight[int], compute: Computation, *keys: str) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(single_flight.join(key, compute)) for key in keys]
    await settle()
    return tasks


async def test_those_who_ask_at_once_share_one_computation_for_each_key() -> None:
    single_flight, compute = SingleFlight[int](), Computation()
    tasks = await ask(single_flight, compute, "a", "a", "b", "a")
    assert compute.runs == 2
    compute.open.set()
    assert await asyncio.gather(*tasks) == [1, 1, 2, 1]


async def test_after_the_end_a_key_is_computed_anew() -> None:
    single_flight, compute = SingleFlight[int](), Computation()
    compute.open.set()
    assert [await single_flight.join("a", compute) for _ in range(3)] == [1, 2, 3]


async def test_a_failure_reaches_all_and_the_next_one_computes_anew() -> None:
    single_flight, compute = SingleFlight[int](), Computation()
    tasks = await ask(single_flight, compute, "a", "a")
    compute.error = ValueError("no")
    compute.open.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [compute.error] * 2
    compute.error = None
    assert await single_flight.join("a", compute) == 2


async def test_it_goes_on_for_those_who_stay() -> None:
    single_flight, compute = SingleFlight[int](), Computation()
    first, second, third = await ask(single_flight, compute, "a", "a", "a")
    first.cancel()
    second.cancel()
    await settle()
    assert compute.cancelled == 0
    compute.open.set()
    assert await third == 1
    assert first.cancelled()
    assert second.cancelled()


async def test_it_is_cancelled_when_the_last_has_left_and_the_next_one_starts_at_once() -> None:
    single_flight, compute = SingleFlight[int](), Computation()
    tasks = await ask(single_flight, compute, "a", "a")
    compute.ended.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    again = await ask(single_flight, compute, "a", "a")  # before the first computation has ended
    assert [compute.runs, compute.cancelled] == [2, 1]
    compute.open.set()
    assert await asyncio.gather(*again) == [2, 2]
    compute.ended.set()


async def test_the_end_of_an_abandoned_computation_does_not_forget_the_next_one() -> None:
    single_flight, compute = SingleFlight[int](), Computation()
    (leaving,) = await ask(single_flight, compute, "a")
    leaving.cancel()
    await asyncio.wait([leaving])
    (again,) = await ask(single_flight, compute, "a")  # the first has ended meanwhile
    (third,) = await ask(single_flight, compute, "a")
    assert compute.runs == 2
    compute.open.set()
    assert [await again, await third] == [2, 2]


async def test_nothing_is_kept_of_what_was_computed() -> None:
    single_flight: SingleFlight[Any] = SingleFlight()
    made: list[weakref.ref[Computation]] = []

    async def compute() -> Computation:
        result = Computation()
        made.append(weakref.ref(result))
        return result

    await single_flight.join("a", compute)
    await settle()
    gc.collect()
    assert [reference() for reference in made] == [None]


async def test_one_that_is_cancelled_leaves_nothing_to_be_logged() -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    single_flight, compute = SingleFlight[int](), Computation()
    (leaving,) = await ask(single_flight, compute, "a")
    leaving.cancel()
    await settle()
    assert compute.cancelled == 1
    assert said == []


async def test_closing_cancels_what_is_under_way_and_waits_for_its_end() -> None:
    single_flight, compute = SingleFlight[int](), Computation()
    tasks = await ask(single_flight, compute, "a", "b")
    leaving, _ = tasks
    leaving.cancel()
    await single_flight.aclose()
    assert compute.cancelled == 2
    await settle()
    assert all(task.cancelled() for task in tasks)


async def test_a_computation_holds_memory_of_its_own_and_not_of_the_one_who_asked_first() -> None:
    """That one may leave, and give its memory back, while others wait."""
    budget = Budget(1000)
    single_flight = SingleFlight[int]()
    held: list[int] = []

    async def compute() -> int:
        memory.hold(400)
        held.append(budget.used)
        await asyncio.sleep(0)
        return 1

    with memory.lease(budget):
        await single_flight.join("a", compute)
        held.append(budget.used)
    assert held == [400, 0]
