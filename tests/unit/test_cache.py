"""The result cache: in a file and in a real Redis, in one process and in many, and with a store that is down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import TimedOut, TooManyRequests, UpstreamError
from operations import cache as cache_module
from operations.cache import CACHE_FILE, Cached, Producer, ResultCache, open_cache
from operations.cache_stores import RedisStore, SqliteStore
from operations.redis_link import RedisLink
from tests.redis_server import RedisServer
from tests.served import wait_for
from tests.spawned import exit_codes, spawned

pytestmark = pytest.mark.anyio

PATIENT_S = 10.0  # for a Redis on a machine that does other things too
URL = "https://media.example/a.wav?token=s3cret"
VERSION = "audio_scene:1"


class Work:
    """A producer that counts its runs, and can be held up or made to fail."""

    def __init__(self, delay_s: float = 0.0, error: Exception | None = None) -> None:
        self.runs = 0
        self.ended = 0
        self.open = asyncio.Event()
        self.open.set()
        self.delay_s = delay_s
        self.error = error

    async def __call__(self) -> dict[str, Any]:
        self.runs += 1
        run = self.runs
        await self.open.wait()
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        self.ended += 1
        return {"run": run, "classification": "speech"}


def make(kind: str, place: str, **options: Any) -> tuple[ResultCache, RedisLink | None]:
    """Opens a cache as another process would: ``place`` is a Redis URL or a file."""
    link = RedisLink(place, timeout_s=PATIENT_S) if kind == "redis" else None
    store = RedisStore(link) if link is not None else SqliteStore(Path(place))
    return ResultCache(store, namespace="scene", **{"ttl_s": 60.0, **options}), link


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A kind of store, and its place."""
    if request.param == "sqlite":
        return "sqlite", str(tmp_path / "data" / CACHE_FILE)
    return "redis", str(request.getfixturevalue("redis_url"))


@pytest.fixture
async def opened(where: tuple[str, str]) -> AsyncIterator[Callable[..., ResultCache]]:
    """Opens any number of caches in the same place, and closes them."""
    made: list[tuple[ResultCache, RedisLink | None]] = []

    def open_one(**options: Any) -> ResultCache:
        made.append(make(*where, **options))
        return made[-1][0]

    yield open_one
    for cache, link in made:
        await cache.aclose()
        if link is not None:
            await link.aclose()


Open = Callable[..., ResultCache]


async def ask(cache: ResultCache, work: Producer, url: str = URL, version: str = VERSION) -> Cached:
    return await cache.get_or_compute(url, work, version=version)


async def ready(*caches: ResultCache) -> None:
    """Opens files and connections, so that what follows does not wait for them."""
    for cache in caches:
        await ask(cache, Work(), "https://media.example/other.wav")


async def until(condition: Callable[[], bool]) -> None:
    """Lets others work until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


def waiting(cache: ResultCache) -> int:
    """How many wait for what this process computes."""
    return sum(flight.waiters for flight in cache._flights._flights.values())


async def test_second_time_is_a_hit(opened: Open) -> None:
    cache, work = opened(), Work()
    first, second = await ask(cache, work), await ask(cache, work)
    assert (first.hit, second.hit, work.runs) == (False, True, 1)
    assert first.value == second.value == {"run": 1, "classification": "speech"}


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
    assert {answer.value["run"] for answer in answers} == {1}


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
    assert (await ask(caches[1], work)).value["run"] == 2


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


async def test_one_who_leaves_stops_nobody_else(opened: Open) -> None:
    cache, work = opened(), Work()
    work.open.clear()
    first = asyncio.create_task(ask(cache, work))
    await until(lambda: work.runs == 1)
    others = [asyncio.create_task(ask(cache, work)) for _ in range(3)]
    await until(lambda: waiting(cache) == 4)
    first.cancel()
    others[0].cancel()
    await until(lambda: waiting(cache) == 2)
    work.open.set()
    assert [task.value["run"] for task in await asyncio.gather(*others[1:])] == [1, 1]
    assert first.cancelled()
    assert work.runs == work.ended == 1


async def test_when_all_have_left_the_work_stops_and_another_process_takes_over(opened: Open) -> None:
    first, second, work = opened(), opened(), Work()
    work.open.clear()
    leaving = asyncio.create_task(ask(first, work))
    await until(lambda: work.runs == 1)
    staying = asyncio.create_task(ask(second, work))
    await until(lambda: waiting(second) == 1)
    leaving.cancel()
    await until(lambda: waiting(first) == 0)
    work.open.set()
    assert (await staying).value["run"] == 2
    assert work.ended == 1


async def test_after_all_have_left_the_next_starts_afresh(opened: Open) -> None:
    cache, work = opened(), Work(delay_s=0.3)
    leaving = asyncio.create_task(ask(cache, work))
    await until(lambda: work.runs == 1)
    leaving.cancel()
    await asyncio.sleep(0)
    assert (await ask(cache, work)).value["run"] == 2


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
    assert (await ask(second, quick)).value["run"] == 1
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

    async def work() -> dict[str, Any]:
        note(log)
        await asyncio.sleep(delay_s)
        return {"by": os.getpid()}

    async def main() -> None:
        cache, link = make(kind, place, lease_s=3.0)
        await asyncio.sleep(max(0.0, start_at - time.time()))
        answers = await asyncio.gather(*(ask(cache, work) for _ in range(5)))
        assert len({answer.value["by"] for answer in answers}) == 1
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
    cache = ResultCache(store, namespace="scene", ttl_s=60.0, lease_s=0.03)

    async def work() -> dict[str, Any]:
        await store.answered.wait()
        return {}

    await ask(cache, work)
    assert store.renewals == 2


async def test_many_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    """Turning write-ahead mode on is refused without waiting while another connection does so."""
    for attempt in range(10):
        stores = [SqliteStore(tmp_path / str(attempt) / "cache.sqlite3") for _ in range(12)]
        holders = await asyncio.gather(*(store.acquire("key", str(n), 3.0) for n, store in enumerate(stores)))
        assert len(set(holders)) == 1
        for store in stores:
            await store.aclose()


def test_a_killed_process_is_replaced(where: tuple[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with spawned(compute_in_process, (*where, str(log), 60.0, 0.0)) as (victim,):
        wait_for(log.exists, 60)
        victim.kill()
        assert exit_codes([victim]) == [-signal.SIGKILL]
    with spawned(compute_in_process, (*where, str(log), 0.0, 0.0)) as heirs:
        assert exit_codes(heirs) == [0]
    assert len(set(log.read_text().split())) == 2


@pytest.mark.redis
async def test_redis_killed_and_back(redis_server: RedisServer) -> None:
    link = RedisLink(redis_server.url, timeout_s=PATIENT_S, rest_s=0.3)
    cache, work = ResultCache(RedisStore(link), namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    redis_server.kill()
    assert [(await ask(cache, work)).hit for _ in range(3)] == [False] * 3
    redis_server.start()
    await asyncio.sleep(0.5)
    assert [(await ask(cache, work)).hit for _ in range(3)] == [False, True, True]
    await link.aclose()


@pytest.mark.redis
async def test_redis_dies_while_an_answer_is_computed(redis_server: RedisServer) -> None:
    link = RedisLink(redis_server.url)
    cache, work = ResultCache(RedisStore(link), namespace="scene", ttl_s=60.0), Work(delay_s=0.5)
    waiting = [asyncio.create_task(ask(cache, work)) for _ in range(5)]
    await asyncio.sleep(0.2)
    redis_server.kill()
    assert [answer.value["run"] for answer in await asyncio.gather(*waiting)] == [1] * 5
    await link.aclose()


@pytest.mark.redis
async def test_redis_hangs(redis_server: RedisServer) -> None:
    link = RedisLink(redis_server.url)
    cache, work = ResultCache(RedisStore(link), namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    redis_server.freeze()
    started = time.monotonic()
    for number in range(20):
        await ask(cache, work, f"{URL}{number}")
    assert time.monotonic() - started < 8  # one time-out or two, not twenty of half a second each and more
    redis_server.thaw()
    await link.aclose()


async def test_redis_that_never_was() -> None:
    link = RedisLink("redis://127.0.0.1:1/0")
    cache, work = ResultCache(RedisStore(link), namespace="scene", ttl_s=60.0), Work(delay_s=0.1)
    answers = await asyncio.gather(*(ask(cache, work) for _ in range(10)))
    assert {answer.value["run"] for answer in answers} == {1}
    await link.aclose()


@pytest.mark.redis
async def test_no_secret_in_redis(redis_server: RedisServer) -> None:
    link = RedisLink(redis_server.url)
    cache = open_cache(link, Path("unused"), namespace="scene", ttl_s=60.0)
    await ask(cache, Work())
    with redis_server.client as client:
        keys = list(client.scan_iter())
        assert keys
        assert all(key.startswith("bundle:") and "s3cret" not in key for key in keys)
        assert all(0 < client.pttl(key) <= 60_000 for key in keys)
    await link.aclose()


async def test_embedded_cache_is_bounded(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cache.sqlite3", max_rows=10)
    for number in range(50):
        await store.set(f"key{number}", b"{}", 60.0)
    assert await store.get("key49") == b"{}"
    assert await store.get("key0") is None
    await store.aclose()
    with sqlite3.connect(tmp_path / "cache.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM results").fetchone() == (10,)
    database.close()


async def test_embedded_cache_forgets_what_has_expired(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cache.sqlite3")
    await store.set("old", b"{}", 0.01)
    await asyncio.sleep(0.05)
    await store.set("new", b"{}", 60.0)
    await store.aclose()
    with sqlite3.connect(tmp_path / "cache.sqlite3") as database:
        assert database.execute("SELECT key FROM results").fetchall() == [("new",)]
    database.close()


@pytest.mark.parametrize("damage", [b"this is not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 8000])
async def test_damaged_file_is_replaced(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / CACHE_FILE).write_bytes(damage)
    cache, work = open_cache(None, tmp_path, namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    assert (await ask(cache, work)).hit
    await cache.aclose()


async def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    cache, work = open_cache(None, tmp_path / "data", namespace="scene", ttl_s=60.0), Work(delay_s=0.05)
    answers = await asyncio.gather(*(ask(cache, work) for _ in range(10)))
    assert {answer.value["run"] for answer in answers} == {1}
    await cache.aclose()


async def test_stored_nonsense_counts_as_nothing(tmp_path: Path) -> None:
    cache, work = open_cache(None, tmp_path, namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    with sqlite3.connect(tmp_path / CACHE_FILE) as database:
        database.execute("UPDATE results SET value = ?", (b"[1, 2",))
    database.close()
    assert not (await ask(cache, work)).hit
    await cache.aclose()
