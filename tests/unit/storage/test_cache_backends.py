"""The stores of the result cache: a Redis that dies, hangs or never was; a file that is full, damaged or forbidden."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.guard import Quotas
from models.messages import HeartResult
from storage.cache import CACHE_FILE, ResultCache, open_cache
from storage.cache_backends import RedisStore, SqliteStore
from storage.keys import CallerKey, hash_key
from storage.latest import LatestResult
from storage.redis_client import RedisClient
from tests.support.caching import PATIENT_S, URL, Found, Work, ask
from tests.support.redis_server import RedisServer
from tests.support.served import ROOT

pytestmark = pytest.mark.anyio


async def test_many_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    """Turning write-ahead mode on is refused without waiting while another connection does so."""
    for attempt in range(10):
        stores = [SqliteStore(tmp_path / str(attempt) / "cache.sqlite3") for _ in range(12)]
        holders = await asyncio.gather(*(store.acquire("key", str(n), 3.0) for n, store in enumerate(stores)))
        assert len(set(holders)) == 1
        for store in stores:
            await store.aclose()


@pytest.mark.redis
async def test_redis_killed_and_back(redis_server: RedisServer) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S, rest_s=0.3)
    cache, work = ResultCache(RedisStore(link), Found, namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    redis_server.kill()
    assert [(await ask(cache, work)).hit for _ in range(3)] == [False] * 3
    redis_server.start()
    await asyncio.sleep(0.5)
    assert [(await ask(cache, work)).hit for _ in range(3)] == [False, True, True]
    await link.aclose()


@pytest.mark.redis
async def test_redis_dies_while_an_answer_is_computed(redis_server: RedisServer) -> None:
    link = RedisClient(redis_server.url)
    cache, work = ResultCache(RedisStore(link), Found, namespace="scene", ttl_s=60.0), Work(delay_s=0.5)
    waiting = [asyncio.create_task(ask(cache, work)) for _ in range(5)]
    await asyncio.sleep(0.2)
    redis_server.kill()
    assert [answer.value.run for answer in await asyncio.gather(*waiting)] == [1] * 5
    await link.aclose()


@pytest.mark.redis
async def test_redis_hangs(redis_server: RedisServer) -> None:
    link = RedisClient(redis_server.url)
    cache, work = ResultCache(RedisStore(link), Found, namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    redis_server.freeze()
    started = time.monotonic()
    for number in range(20):
        await ask(cache, work, f"{URL}{number}")
    assert time.monotonic() - started < 8  # one time-out or two, not twenty of half a second each and more
    redis_server.thaw()
    await link.aclose()


REFUSALS: dict[str, list[tuple[str, ...]]] = {
    "full": [("CONFIG", "SET", "maxmemory", "1")],
    "read-only": [("REPLICAOF", "127.0.0.1", "1")],
    "without its master": [("CONFIG", "SET", "replica-serve-stale-data", "no"), ("REPLICAOF", "127.0.0.1", "1")],
    "of another password": [("CONFIG", "SET", "requirepass", "other"), ("CLIENT", "KILL", "TYPE", "normal")],
}


@pytest.mark.redis
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_redis_refuses(refusal: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """No request fails by that, neither a cached answer, nor the latest result, nor what a key uses."""
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    cache, work = ResultCache(RedisStore(link), Found, namespace="scene", ttl_s=60.0), Work()
    latest, quotas = LatestResult(tmp_path, link), Quotas(link)
    key = CallerKey(name="lab", sha256=hash_key("x"), requests_per_minute=9)
    await ask(cache, work)
    await latest.store(HeartResult.model_validate({"class": "Murmur", "confidence": 50.0}))
    with redis_server.client as inside:
        for command in REFUSALS[refusal]:
            inside.execute_command(*command)
    for number in range(3):
        await ask(cache, work, f"{URL}{number}")
        result = HeartResult.model_validate({"class": "Normal", "confidence": 60.0 + number})
        await latest.store(result)
        assert await latest.load() == result
        assert await quotas.spend(key, "requests")
    for one in (latest, link):
        await one.aclose()


async def test_redis_that_never_was() -> None:
    link = RedisClient("redis://127.0.0.1:1/0")
    cache, work = ResultCache(RedisStore(link), Found, namespace="scene", ttl_s=60.0), Work(delay_s=0.1)
    answers = await asyncio.gather(*(ask(cache, work) for _ in range(10)))
    assert {answer.value.run for answer in answers} == {1}
    await link.aclose()


@pytest.mark.redis
async def test_no_secret_in_redis(redis_server: RedisServer) -> None:
    link = RedisClient(redis_server.url)
    cache = open_cache(link, Path("unused"), Found, namespace="scene", ttl_s=60.0)
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
    cache, work = open_cache(None, tmp_path, Found, namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    assert (await ask(cache, work)).hit
    await cache.aclose()


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from storage.cache_backends import SqliteStore
from storage.redis_client import StoreUnavailable

async def main():
    store = SqliteStore(Path(sys.argv[1]), rest_s=0.0)
    print(await store.get("kept"))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # bytes of a file, as on a disk that is nearly full
    try:
        await store.set("new", b"{}", 60.0)
    except StoreUnavailable:
        print("not kept")
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await store.set("new", b"{}", 60.0)
    print(await store.get("kept"), await store.get("new"))

asyncio.run(main())
"""


async def test_a_full_disk_is_not_taken_for_a_damaged_file(tmp_path: Path) -> None:
    """What other processes had kept was deleted where the disk was full while many results were being forgotten."""
    path = tmp_path / CACHE_FILE
    store = SqliteStore(path)
    await store.set("kept", b"{}", 3600.0)
    await store.aclose()
    with sqlite3.connect(path) as database:
        old = ((f"old{number}", bytes(1000), 1.0) for number in range(10_000))
        database.executemany("INSERT INTO results VALUES (?, ?, ?)", old)
    database.close()
    command = [sys.executable, "-c", FULL, str(path)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.stdout.splitlines() == ["b'{}'", "not kept", "b'{}' b'{}'"], done.stderr


async def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    cache, work = open_cache(None, tmp_path / "data", Found, namespace="scene", ttl_s=60.0), Work(delay_s=0.05)
    answers = await asyncio.gather(*(ask(cache, work) for _ in range(10)))
    assert {answer.value.run for answer in answers} == {1}
    await cache.aclose()


async def test_stored_nonsense_counts_as_nothing(tmp_path: Path) -> None:
    cache, work = open_cache(None, tmp_path, Found, namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    with sqlite3.connect(tmp_path / CACHE_FILE) as database:
        database.execute("UPDATE results SET value = ?", (b"[1, 2",))
    database.close()
    assert not (await ask(cache, work)).hit
    await cache.aclose()
