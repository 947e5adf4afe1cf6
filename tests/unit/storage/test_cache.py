"""The result cache: in a file and in a real Redis, in one process and in many, and with a store that is down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import TimedOut, TooManyRequests, UpstreamError
from storage import cache as cache_module
from storage.cache import CACHE_FILE, ResultCache
from storage.redis_client import RedisClient
from tests.support.caching import URL, Cache, Found, Work, ask, make, ready, until
from tests.support.served import wait_for
from tests.support.spawned import exit_codes, spawned

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A kind of store, and its place."""
    if request.param == "sqlite":
        return "sqlite", str(tmp_path / "data" / CACHE_FILE)
    return "redis", str(request.getfixturevalue("redis_url"))


@pytest.fixture
async def opened(where: tuple[str, str]) -> AsyncIterator[Callable[..., Cache]]:
    """Opens any number of caches in the same place, and closes them."""
    made: list[tuple[Cache, RedisClient | None]] = []

    def open_one(**options: Any) -> Cache:
        made.append(make(*where, **options))
        return made[-1][0]

    yield open_one
    for cache, link in made:
        await cache.aclose()
        if link is not None:
            await link.aclose()


Open = Callable[..., Cache]


async def test_second_time_is_a_hit(opened: Open) -> None:
    cache, work = opened(), Work()
    first, second = await ask(cache, work), await ask(cache, work)
    assert (first.hit, second.hit, work.runs) == (False, True, 1)
    assert first.value == second.value == Found(run=1)


async def test_another_process_finds_it(opened: Open) -> None:
    work = Work()
    await ask(opened(), work)
    assert (await ask(opened(), work)).hit


async def test_other_urls_models_and_questions_are_apart(opened: Open) -> None:
    cache, work = opened(), Work()
    await ask(cache, work)
    assert not (await ask(cache, work, URL + "&b")).hit
    assert not (await ask(cache, work, version="audio_scene:2")).hit
    assert not (await ask(opened(ttl_s=60.0), Work(), URL, "b")).hit
    assert work.runs == 3


async def test_what_another_entry_answered_is_not_kept(opened: Open) -> None:
    """The runner was started again between the question and the answer."""
    cache, work = opened(), Work()
    assert (await ask(cache, work, version="audio_scene:2")).value.model == "audio_scene:1"
    assert not (await ask(cache, work, version="audio_scene:2")).hit
    await ask(cache, work)
    assert (await ask(cache, work)).hit


async def test_time_to_live(opened: Open) -> None:
    cache, work = opened(ttl_s=1.0), Work()
    for number in range(20):  # on a busy machine the second look may come after the end: then once more
        url, started = f"{URL}&{number}", time.monotonic()
        await ask(cache, work, url)
        second = await ask(cache, work, url)
        if time.monotonic() - started < 1.0:
            break
    assert second.hit
    await asyncio.sleep(1.2)
    assert not (await ask(cache, work, url)).hit


async def test_no_time_to_live_keeps_nothing_but_still_shares(opened: Open) -> None:
    cache, work = opened(ttl_s=0.0), Work(delay_s=0.1)
    await asyncio.gather(*(ask(cache, work) for _ in range(10)))
    assert work.runs == 1
    await ask(cache, work)
    assert work.runs == 2


async def test_many_at_once_compute_once(opened: Open) -> None:
    cache, work = opened(), Work(delay_s=0.2)
    answers = await asyncio.gather(*(ask(cache, work) for _ in range(100)))
    assert work.runs == 1
    assert {answer.value.run for answer in answers} == {1}


async def test_many_in_several_processes_compute_once(opened: Open) -> None:
    caches, work = [opened() for _ in range(4)], Work(delay_s=0.8)
    await ready(*caches)
    await asyncio.gather(*(ask(cache, work) for cache in caches for _ in range(10)))
    assert work.runs == 1


async def test_failure_goes_to_all_who_wait_and_is_not_kept(opened: Open) -> None:
    caches, work = [opened() for _ in range(3)], Work(delay_s=0.8, error=UpstreamError("status 500"))
    await ready(*caches)
    waiting = [ask(cache, work) for cache in caches for _ in range(5)]
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [(type(error), str(error)) for error in errors] == [(UpstreamError, "status 500")] * 15
    assert work.runs == 1
    work.error = None
    assert (await ask(caches[1], work)).value.run == 2


async def test_failure_keeps_what_the_caller_needs(opened: Open) -> None:
    first, second = opened(), opened()
    await ready(first, second)
    work = Work(delay_s=0.8, error=TooManyRequests("busy", retry_after=7.0))
    errors = await asyncio.gather(ask(first, work), ask(second, work), return_exceptions=True)
    assert all(isinstance(error, TooManyRequests) and error.retry_after == 7.0 for error in errors)


async def test_mistakes_are_raised_and_the_next_process_tries_itself(opened: Open) -> None:
    caches, work = [opened(), opened()], Work(delay_s=0.8, error=KeyError("mistake"))
    await ready(*caches)
    errors = await asyncio.gather(*(ask(cache, work) for cache in caches), return_exceptions=True)
    assert [type(error) for error in errors] == [KeyError, KeyError]
    assert work.runs == 2


async def test_one_who_leaves_stops_no_other(opened: Open) -> None:
    looks: list[str] = []
    cache, work = opened(looks=looks), Work()
    work.open.clear()
    first = asyncio.create_task(ask(cache, work))
    await until(lambda: work.runs == 1)
    looks.clear()
    others = [asyncio.create_task(ask(cache, work)) for _ in range(3)]
    await until(lambda: len(looks) == 3)  # and now all four wait
    first.cancel()
    others[0].cancel()
    await asyncio.gather(first, others[0], return_exceptions=True)
    work.open.set()
    assert [task.value.run for task in await asyncio.gather(*others[1:])] == [1, 1]
    assert first.cancelled()
    assert work.runs == work.ended == 1


async def test_when_all_have_left_the_work_stops_and_another_process_takes_over(opened: Open) -> None:
    looks: list[str] = []
    first, second, work = opened(), opened(looks=looks), Work()
    work.open.clear()
    leaving = asyncio.create_task(ask(first, work))
    await until(lambda: work.runs == 1)
    staying = asyncio.create_task(ask(second, work))
    await until(lambda: len(looks) > 1)  # the second look is for the result of the first process
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    work.open.set()
    assert (await staying).value.run == 2
    assert work.ended == 1


async def test_after_all_have_left_the_next_starts_afresh(opened: Open) -> None:
    cache, work = opened(), Work(delay_s=0.3)
    leaving = asyncio.create_task(ask(cache, work))
    await until(lambda: work.runs == 1)
    leaving.cancel()
    await asyncio.sleep(0)
    assert (await ask(cache, work)).value.run == 2


async def test_long_work_keeps_its_lease(opened: Open) -> None:
    first, second, work = opened(lease_s=1.2), opened(lease_s=1.2), Work(delay_s=3.0)
    await ready(first, second)
    await asyncio.gather(ask(first, work), ask(second, work))
    assert work.runs == 1


async def test_not_waited_for_longer_than_bearable(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_WAIT_S", 0.3)
    first, second, stuck, quick = opened(), opened(), Work(delay_s=60.0), Work()
    await ready(first, second)
    slow = asyncio.create_task(ask(first, stuck))
    await asyncio.sleep(0.2)
    assert (await ask(second, quick)).value.run == 1
    slow.cancel()


async def test_time_limit_of_a_request_passes_through(opened: Open) -> None:
    with pytest.raises(TimedOut):
        await ask(opened(), Work(error=TimedOut("too slow")))


def note(log: str) -> None:
    """Adds a line that names this process."""
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()}\n")


def compute_in_process(kind: str, place: str, log: str, delay_s: float, start_at: float) -> None:
    """What each process of the tests below does: asks, and writes a line when it computes itself."""

    async def work() -> Found:
        note(log)
        await asyncio.sleep(delay_s)
        return Found(by=os.getpid())

    async def main() -> None:
        cache, link = make(kind, place, lease_s=3.0)
        await asyncio.sleep(max(0.0, start_at - time.time()))
        answers = await asyncio.gather(*(ask(cache, work) for _ in range(5)))
        assert len({answer.value.by for answer in answers}) == 1
        await cache.aclose()
        if link is not None:
            await link.aclose()

    asyncio.run(main())


def test_real_processes_compute_once(where: tuple[str, str], tmp_path: Path) -> None:
    log, start_at = tmp_path / "log", time.time() + 4.0
    arguments = (*where, str(log), 1.0, start_at)
    with spawned(compute_in_process, *[arguments] * 4) as processes:
        assert exit_codes(processes) == [0, 0, 0, 0]
    assert len(log.read_text().split()) == 1


class LossyStore:
    """A store that answers as redis-py can on Python 3.11: a cancellation at the moment of its answer is lost."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.renewals = 0

    async def get(self, key: str) -> bytes | None:
        return None

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        return None

    async def delete(self, key: str) -> None:
        return None

    async def acquire(self, key: str, token: str, lease_s: float) -> str:
        self.renewals += 1
        assert self.renewals < 3, "renewed after the answer"
        if self.renewals == 2:
            self.answered.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(10.0)
        return token

    async def release(self, key: str, token: str) -> None:
        return None

    async def aclose(self) -> None:
        return None


async def test_a_renewal_that_loses_its_cancellation_holds_up_no_answer() -> None:
    store = LossyStore()
    cache = ResultCache(store, Found, namespace="scene", ttl_s=60.0, lease_s=0.03)

    async def work() -> Found:
        await store.answered.wait()
        return Found()

    await ask(cache, work)
    assert store.renewals == 2


def test_a_killed_process_is_replaced(where: tuple[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with spawned(compute_in_process, (*where, str(log), 60.0, 0.0)) as (victim,):
        wait_for(log.exists, 60)
        victim.kill()
        assert exit_codes([victim]) == [-signal.SIGKILL]
    with spawned(compute_in_process, (*where, str(log), 0.0, 0.0)) as heirs:
        assert exit_codes(heirs) == [0]
    assert len(set(log.read_text().split())) == 2
