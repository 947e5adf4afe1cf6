"""What others put into the stores: every value that this bundle cannot have written is a miss, deleted and counted."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY

from core.errors import InternalError, UpstreamError
from models.messages import HeartResult, SceneEntry
from storage.cache import CACHE_FILE, ResultCache
from storage.cache_backends import MAX_VALUE_BYTES, CacheStore, RedisStore, SqliteStore
from storage.latest import REDIS_KEY, LatestResult
from storage.redis_client import PREFIX, RedisClient
from tests.support.caching import PATIENT_S, Found, Work, ask
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

KEY = "https://media.example/a.wav"
TAG = "audio_scene:1"
GOOD = b'{"model":"audio_scene:1","duration":1.0,"sample_rate":16000,"channels":1,"classification":"speech"}'
SCENE = SceneEntry.model_validate_json(GOOD)
NESTED = b"[" * 5000

WRONG = [
    b"",
    b"null",
    b"3",
    b'"text"',
    b"[]",
    b"{}",
    b"\xff\xfe\x00",
    NESTED,
    b'{"model":' + NESTED,
    GOOD[:-1],
    GOOD.replace(b"audio_scene:1", b"audio_scene:1\\r\\nx-admin: 1"),
    GOOD.replace(b"audio_scene:1", b"audio_scene:1\\n"),
    GOOD.replace(b"audio_scene:1", b"audio_scene:\\u0000"),
    GOOD.replace(b'"audio_scene:1"', b"7"),
    GOOD.replace(b'"audio_scene:1"', b'["audio_scene:1"]'),
    GOOD.replace(b"speech", b"applause"),
    GOOD.replace(b"1.0", b"1e999"),
    GOOD.replace(b"1.0", b"NaN"),
    GOOD.replace(b"1.0", b"-1.0"),
    GOOD.replace(b"1.0", b'"1.0"'),
    GOOD.replace(b"1.0", b"9" * 400),
    GOOD.replace(b"16000", b"true"),
    GOOD.replace(b"16000", b"16000.5"),
    GOOD.replace(b"}", b',"more":1}'),
    GOOD + b" " * MAX_VALUE_BYTES,
]


def counted(store: str) -> float:
    return REGISTRY.get_sample_value("bundle_store_invalid_total", {"store": store}) or 0.0


class Kept:
    """A cache of scenes in a real store, into which a test can put what it likes."""

    def __init__(self, store: CacheStore, place: Path | redis.Redis) -> None:
        self.store = store
        self.cache = ResultCache(store, SceneEntry, namespace="scene", ttl_s=60.0)
        self.key = self.cache.digest(KEY, TAG)
        self.place = place

    async def put(self, value: Any, key: str | None = None) -> None:
        """Puts it where the answer for ``KEY`` is."""
        await self.store.set(key or self.key, SCENE.model_dump_json().encode(), 60.0)
        if isinstance(self.place, Path):
            with sqlite3.connect(self.place) as database:
                database.execute("UPDATE results SET value = ? WHERE key = ?", (value, key or self.key))
            database.close()
        else:
            self.place.set(f"{PREFIX}:cache:{key or self.key}", value)

    async def ask(self, error: Exception | None = None) -> bool:
        """Asks, and gives whether the answer was known."""

        async def produce() -> SceneEntry:
            if error is not None:
                raise error
            return SCENE

        cached = await self.cache.get_or_compute(KEY, produce, version=TAG)
        assert cached.value == SCENE
        return cached.hit


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """A cache in a file, and one in Redis."""
    if request.param == "sqlite":
        made = Kept(SqliteStore(tmp_path / CACHE_FILE), tmp_path / CACHE_FILE)
        yield made
        await made.cache.aclose()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    link = RedisClient(server.url, timeout_s=PATIENT_S)
    with server.client as client:
        yield Kept(RedisStore(link), client)
    await link.aclose()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: value[:60].decode(errors="replace"))
async def test_a_wrong_value_is_a_miss_deleted_and_counted(kept: Kept, wrong: bytes) -> None:
    await kept.put(wrong)
    before = counted("cache")
    with pytest.raises(UpstreamError):
        await kept.ask(error=UpstreamError("no such host"))
    assert counted("cache") == before + 1
    assert await kept.store.get(kept.key) is None
    assert [await kept.ask(), await kept.ask()] == [False, True]


@pytest.mark.parametrize(
    "wrong",
    [
        b"{}",
        NESTED,
        b'{"error":"SystemExit","message":"no","retry_after":null}',
        b'{"error":"T","message":"no","retry_after":null}',
        b'{"error":"TooManyRequests","message":"no","retry_after":1e999}',
        b'{"error":"TooManyRequests","message":"no","retry_after":"soon"}',
        b'{"error":"BadRequest","message":["no"],"retry_after":null}',
    ],
)
async def test_a_wrong_failure_is_passed_over(kept: Kept, wrong: bytes) -> None:
    """Under the token of another process, which holds the lease for a while."""
    await kept.store.acquire(kept.key, "other", 1.0)
    await kept.put(wrong, f"{kept.key}:other")
    assert not await kept.ask()
    assert await kept.store.get(f"{kept.key}:other") is None


@pytest.mark.redis
@pytest.mark.parametrize("command", ["RPUSH", "SADD", "HSET", "XADD"])
async def test_another_type_in_redis_does_not_take_the_store_away(redis_server: RedisServer, command: str) -> None:
    fields = {"HSET": ["a", "b"], "XADD": ["*", "a", "b"]}.get(command, ["a"])
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    with redis_server.client as client:
        kept = Kept(RedisStore(link), client)
        for key in (f"{PREFIX}:cache:{kept.key}", f"{PREFIX}:lease:{kept.key}"):
            client.execute_command(command, key, *fields)
        assert [await kept.ask(), await kept.ask()] == [False, True]
    await link.aclose()


@pytest.mark.redis
@pytest.mark.parametrize("holder", [b"f" * 16, b"\xff\xfe", b"f" * 100_000])
@pytest.mark.parametrize("milliseconds", [None, 10**12])
async def test_a_lease_for_ever_is_passed_over(
    redis_server: RedisServer, holder: bytes, milliseconds: int | None
) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    with redis_server.client as client:
        kept = Kept(RedisStore(link), client)
        client.set(f"{PREFIX}:lease:{kept.key}", holder, px=milliseconds)
        assert [await kept.ask(), await kept.ask()] == [False, True]
    await link.aclose()


@pytest.mark.parametrize("token", ["text", b"\xff\xfe", 7, b"f" * 100_000])
@pytest.mark.parametrize("expires", ["never", float("inf"), b"\xff", 1e15, 1e9])
async def test_a_lease_for_ever_in_the_file_is_passed_over(tmp_path: Path, token: Any, expires: Any) -> None:
    kept = Kept(SqliteStore(tmp_path / CACHE_FILE), tmp_path / CACHE_FILE)
    await kept.put(GOOD, "another")
    with sqlite3.connect(tmp_path / CACHE_FILE) as database:
        database.execute("INSERT INTO leases VALUES (?, ?, ?)", (kept.key, token, expires))
    database.close()
    assert [await kept.ask(), await kept.ask()] == [False, True]
    await kept.cache.aclose()


async def test_a_lease_in_any_bytes_holds_for_its_time(kept: Kept) -> None:
    if isinstance(kept.place, redis.Redis):
        kept.place.set(f"{PREFIX}:lease:{kept.key}", b"\xff\xfe", px=500)
    else:
        await kept.store.acquire(kept.key, "other", 0.5)
        with sqlite3.connect(kept.place) as database:
            database.execute("UPDATE leases SET token = CAST(X'FFFE' AS TEXT)")
        database.close()
    assert [await kept.ask(), await kept.ask()] == [False, True]


@pytest.mark.parametrize("value", ["text", 10**12, 1.5, b"\x00" * (MAX_VALUE_BYTES + 1)])
@pytest.mark.parametrize("expires", [None, "never", float("inf"), b"\xff"])
async def test_other_types_in_the_file(tmp_path: Path, value: Any, expires: Any) -> None:
    kept = Kept(SqliteStore(tmp_path / CACHE_FILE), tmp_path / CACHE_FILE)
    await kept.put(value)
    if expires is not None:
        with sqlite3.connect(tmp_path / CACHE_FILE) as database:
            database.execute("UPDATE results SET expires = ?", (expires,))
        database.close()
    assert [await kept.ask(), await kept.ask()] == [False, True]
    await kept.cache.aclose()


async def test_tables_of_another_program(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / CACHE_FILE) as database:
        database.execute("CREATE TABLE results (key TEXT PRIMARY KEY, value TEXT)")
        database.execute("CREATE TABLE leases (name TEXT)")
    database.close()
    cache, work = ResultCache(SqliteStore(tmp_path / CACHE_FILE), Found, namespace="scene", ttl_s=60.0), Work()
    await ask(cache, work)
    assert (await ask(cache, work)).hit
    await cache.aclose()


RESULT = HeartResult.model_validate({"class": "Normal", "confidence": 98.5})
TEXT = '{"class": "Normal", "confidence": 98.5}'
NO_TIMES = ["inf", "-inf", "nan", "-1", "1e300", "9" * 400, "abc", "", "9007199254740993"]
NO_RESULTS = [
    "", "{", "null", "[]", "[" * 5000, TEXT + " " * 5000, '{"class": "Normal"}', TEXT.replace("98.5", "1e999"),
    TEXT.replace("98.5", "null"), TEXT.replace("98.5", "NaN"), TEXT.replace("98.5", "101"),
    TEXT.replace("Normal", "Normal\\r\\nx: 1"), TEXT.replace("Normal", "Healthy"), TEXT.replace("}", ', "more": 1}'),
]  # fmt: skip


@pytest.mark.redis
@pytest.mark.parametrize(
    "fields",
    [
        *({"result": TEXT, "at": at} for at in NO_TIMES),
        *({"result": text, "at": "1"} for text in NO_RESULTS),
        {"result": TEXT},
        {"at": "1"},
    ],
    ids=lambda fields: " ".join(f"{name}={value[:40]}" for name, value in fields.items()),
)
async def test_a_wrong_latest_result_in_redis(
    redis_server: RedisServer, tmp_path: Path, fields: dict[str, str]
) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    latest = LatestResult(tmp_path / "data", link)
    with redis_server.client as client:
        client.hset(REDIS_KEY, mapping=fields)
        before = counted("latest_redis")
        assert await latest.load() is None
        assert counted("latest_redis") == before + 1
        assert not client.exists(REDIS_KEY)

        client.hset(REDIS_KEY, mapping=fields)
        await latest.store(RESULT)  # an upload finds it first
        assert await latest.load() == await LatestResult(tmp_path / "other", link).load() == RESULT

        client.hset(REDIS_KEY, mapping=fields)
        assert await latest.load() == RESULT  # the file has it
        assert await LatestResult(tmp_path / "other", link).load() == RESULT  # and brought it back
    await link.aclose()


@pytest.mark.redis
@pytest.mark.parametrize("command", ["SET", "RPUSH"])
async def test_another_type_under_the_key_of_the_latest_result(
    redis_server: RedisServer, tmp_path: Path, command: str
) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    latest = LatestResult(tmp_path, link)
    with redis_server.client as client:
        client.execute_command(command, REDIS_KEY, "a")
        assert await latest.load() is None
        client.execute_command(command, REDIS_KEY, "a")
        await latest.store(RESULT)
        assert await LatestResult(tmp_path / "other", link).load() == RESULT
    await link.aclose()


@pytest.mark.parametrize("text", NO_RESULTS, ids=lambda text: text[:60])
async def test_a_wrong_file_is_counted_and_stays_until_the_next_result(tmp_path: Path, text: str) -> None:
    """A store that cannot be read is a 500. The file is the operator's: what it held may still be of use."""
    (tmp_path / "data.json").write_text(text)
    before = counted("latest_file")
    with pytest.raises(InternalError, match="cannot be read"):
        await LatestResult(tmp_path).load()
    assert counted("latest_file") == before + 1
    await LatestResult(tmp_path).store(RESULT)
    assert await LatestResult(tmp_path).load() == RESULT


async def test_a_pipe_in_place_of_the_file_holds_up_no_process(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.json")
    with pytest.raises(InternalError, match="cannot be read"):
        await LatestResult(tmp_path).load()


@pytest.mark.parametrize("seconds", [-1e9, 2e10])
async def test_a_file_of_another_century_is_old(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "data.json").write_text(TEXT)
    os.utime(tmp_path / "data.json", (seconds, seconds))
    assert await LatestResult(tmp_path).load() == RESULT
