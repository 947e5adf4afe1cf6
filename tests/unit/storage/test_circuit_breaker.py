"""The breaker: one slow call, then none until it has rested."""

from __future__ import annotations

import asyncio

import pytest

from storage.redis_client import CircuitBreaker, StoreUnavailable
from tests.support.clock import Clock
from tests.support.queued import settle

pytestmark = pytest.mark.anyio


class Store:
    """A store that can be told what to do, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self.delay_s = 0.0

    async def ask(self) -> str:
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return "answer"


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("store", (OSError,), timeout_s=0.05, rest_s=5.0, clock=clock)


async def test_passes_answers(breaker: CircuitBreaker, store: Store) -> None:
    assert await breaker.call(store.ask) == "answer"


@pytest.mark.parametrize("slow", [False, True])
async def test_rests_after_a_failure(breaker: CircuitBreaker, store: Store, clock: Clock, slow: bool) -> None:
    store.error, store.delay_s = (None, 1.0) if slow else (OSError("gone"), 0.0)
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            await breaker.call(store.ask)
    assert store.calls == 1
    clock.now += 5.1
    with pytest.raises(StoreUnavailable):
        await breaker.call(store.ask)
    assert store.calls == 2


async def test_is_back_after_the_rest(breaker: CircuitBreaker, store: Store, clock: Clock) -> None:
    store.error = OSError("gone")
    with pytest.raises(StoreUnavailable):
        await breaker.call(store.ask)
    store.error, clock.now = None, clock.now + 5.1
    assert [await breaker.call(store.ask) for _ in range(3)] == ["answer"] * 3


async def test_one_trial_at_a_time(breaker: CircuitBreaker, store: Store, clock: Clock) -> None:
    """The trial is under way while the others ask; it waits for no time that a busy machine could stretch."""
    store.error = OSError("gone")
    with pytest.raises(StoreUnavailable):
        await breaker.call(store.ask)
    store.error, clock.now = None, clock.now + 5.1
    answers = await asyncio.gather(*(breaker.call(store.ask) for _ in range(10)), return_exceptions=True)
    assert answers.count("answer") == 1
    assert store.calls == 2


async def test_an_answer_to_an_earlier_call_ends_no_rest(store: Store, clock: Clock) -> None:
    """It says how the store was before it failed."""
    breaker = CircuitBreaker("store", (OSError,), timeout_s=60.0, clock=clock)
    answered = asyncio.Event()

    async def ask_before() -> str:
        await answered.wait()
        return "answer"

    early = asyncio.create_task(breaker.call(ask_before))
    await settle()
    store.error = OSError("gone")
    with pytest.raises(StoreUnavailable):
        await breaker.call(store.ask)
    answered.set()
    assert await early == "answer"
    with pytest.raises(StoreUnavailable, match="store"):
        await breaker.call(store.ask)
    assert store.calls == 1


async def test_other_errors_are_not_its_business(breaker: CircuitBreaker, store: Store) -> None:
    store.error = KeyError("mistake")
    with pytest.raises(KeyError):
        await breaker.call(store.ask)
    store.error = None
    assert await breaker.call(store.ask) == "answer"


async def test_says_once_that_the_store_is_down(
    breaker: CircuitBreaker, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    store.error = OSError("gone")
    for _ in range(3):
        clock.now += 6
        with pytest.raises(StoreUnavailable):
            await breaker.call(store.ask)
    store.error, clock.now = None, clock.now + 6
    await breaker.call(store.ask)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert {vars(record)["store"] for record in caplog.records} == {"store"}
