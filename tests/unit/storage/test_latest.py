"""The latest heart result: exact form, whole after any crash, shared by workers and replicas, with Redis or without."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import InsufficientStorage, InternalError
from models.messages import HeartResult
from storage.latest import LatestResult
from storage.redis_client import RedisClient
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

PATIENT_S = 10.0  # for a Redis on a machine that does other things too
ROOT = Path(__file__).parents[3]


def result(confidence: float, name: str = "Normal") -> HeartResult:
    return HeartResult.model_validate({"class": name, "confidence": confidence})


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_nothing_yet(tmp_path: Path) -> None:
    assert await LatestResult(tmp_path / "data").load() is None


async def test_form_of_the_file_is_that_of_the_contract(tmp_path: Path) -> None:
    latest = LatestResult(tmp_path / "data")
    await latest.store(result(98.5))
    assert (tmp_path / "data" / "data.json").read_text() == '{"class": "Normal", "confidence": 98.5}'
    assert await latest.load() == result(98.5)


async def test_last_one_counts_for_all_workers(tmp_path: Path) -> None:
    one, other = LatestResult(tmp_path), LatestResult(tmp_path)
    await one.store(result(50.0))
    await other.store(result(60.0, "Murmur"))
    assert await one.load() == result(60.0, "Murmur")


async def test_many_at_once_leave_one_whole_result_and_nothing_else(tmp_path: Path) -> None:
    workers = [LatestResult(tmp_path) for _ in range(4)]
    await asyncio.gather(*(workers[i % 4].store(result(float(i))) for i in range(100)))
    loaded = await workers[0].load()
    assert loaded is not None
    assert loaded.confidence in range(100)
    assert files(tmp_path) == ["data.json"]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"class": "Normal"}, {"class": "a", "confidence": 1.0}, {"class": "Normal", "confidence": float("nan")}],
)
def test_other_forms_are_no_results(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HeartResult.model_validate(wrong)


@pytest.mark.parametrize(
    "content",
    [
        "", "{", '{"class": "Normal"', "[]", "null", '{"class": "Normal"}', '{"class": 1, "confidence": 2}', "\xff\xfe",
        *(
            f'{{"class": "Normal", "confidence": {confidence}}}'
            for confidence in ("null", "NaN", "Infinity", "1e999", "9" * 400, "true", '"98.5"', "[98.5]", "{}")
        ),
    ],
)  # fmt: skip
async def test_damaged_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "data.json").write_bytes(content.encode("latin-1"))
    latest = LatestResult(tmp_path)
    with pytest.raises(InternalError, match="cannot be read") as caught:
        await latest.load()
    assert str(tmp_path) not in caught.value.message
    await latest.store(result(70.0))  # and it heals
    assert await latest.load() == result(70.0)


async def test_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data.json").mkdir()
    latest = LatestResult(tmp_path)
    with pytest.raises(InternalError):
        await latest.load()
    with pytest.raises(InsufficientStorage, match="cannot be kept"):
        await latest.store(result(1.0))


async def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(InsufficientStorage, match="cannot be kept"):
        await LatestResult(tmp_path / "data").store(result(1.0))


FULL = """
import asyncio, resource, sys
from pathlib import Path
from core.errors import InsufficientStorage
from storage.cache import open_cache
from storage.latest import LatestResult
from models.messages import HeartResult
from tests.support.caching import Found, Work, ask

async def main():
    latest = LatestResult(Path(sys.argv[1]))
    await latest.store(HeartResult(class_="Normal", confidence=50.0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file can be written any more, as on a full disk
    for _ in range(3):
        try:
            await latest.store(HeartResult(class_="Murmur", confidence=60.0))
        except InsufficientStorage as error:
            print(error.status, "cannot be kept" in error.message, await latest.load())
    cache, work = open_cache(None, Path(sys.argv[1]), Found, namespace="scene", ttl_s=60.0), Work()
    print([(await ask(cache, work)).value.run for _ in range(2)])

asyncio.run(main())
"""


def test_full_disk_keeps_the_old_result_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.stdout.splitlines() == ["507 True class_='Normal' confidence=50.0"] * 3 + ["[1, 2]"], done.stderr
    assert [name for name in files(tmp_path) if name.startswith((".data", "data"))] == ["data.json"]


async def test_leftovers_of_the_dead_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / ".data.json.0123456789abcdef.tmp"
    left.write_text("half")
    await LatestResult(tmp_path).store(result(1.0))
    assert left.exists()  # it may be written at this moment
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 120)
    await LatestResult(tmp_path).store(result(2.0))
    assert not left.exists()


# What is written is long, and no result of the contract: half of a short one could not be told from a whole one.
WRITER = """
import itertools, json, sys
from pathlib import Path
from storage.latest import LatestFile, Stored

class Long(Stored):
    text = property(lambda self: json.dumps(sys.argv[2] * 2000))

file = LatestFile(Path(sys.argv[1]))
for number in itertools.count():
    file.write(Long(result={"class": "Normal", "confidence": 1.0}, at_us=number))
    if number == 0:
        print("ready", flush=True)
"""


def write(folder: Path, letter: str) -> subprocess.Popen[bytes]:
    """Starts a process that writes over and over again, and waits for the first time."""
    command = [sys.executable, "-c", WRITER, str(folder), letter]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    return writer


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    pause = random.Random(7)
    for letter in "abcdefgh":
        with write(tmp_path, letter) as writer:
            time.sleep(pause.uniform(0.0, 0.05))
            writer.kill()
        assert json.loads((tmp_path / "data.json").read_text()) == letter * 2000


def test_several_processes_never_show_half_a_result(tmp_path: Path) -> None:
    writers = [write(tmp_path, letter) for letter in "ab"]
    seen = set()
    for _ in range(500):
        seen.add(json.loads((tmp_path / "data.json").read_text()))
        time.sleep(0.001)
    for writer in writers:
        with writer:
            writer.kill()
    assert seen == {"a" * 2000, "b" * 2000}


@pytest.mark.redis
async def test_replicas_agree_through_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    one, other = LatestResult(tmp_path / "one", link), LatestResult(tmp_path / "other", link)
    assert await other.load() is None
    await one.store(result(50.0))
    assert await other.load() == result(50.0)
    await other.store(result(60.0))
    assert await one.load() == result(60.0)
    await one.store(result(70.0))
    assert await other.load() == await one.load() == result(70.0)
    await link.aclose()


@pytest.mark.redis
async def test_clock_of_a_replica_may_be_wrong(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    ahead, behind = LatestResult(tmp_path / "ahead", link), LatestResult(tmp_path / "behind", link)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
    await ahead.store(result(50.0))
    monkeypatch.setattr(time, "time_ns", lambda: now - 3600 * 10**9)
    await behind.store(result(60.0))
    assert await ahead.load() == await behind.load() == result(60.0)
    await link.aclose()


@pytest.mark.redis
async def test_a_redis_that_is_ahead_of_our_clock_and_away_for_a_while_hides_no_later_result(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S, rest_s=0.1)
    latest = LatestResult(tmp_path, link)
    now = time.time_ns()
    monkeypatch.setattr("storage.latest.time.time_ns", lambda: now - 60 * 10**9)
    await latest.store(result(1.0))
    with redis_server.client as inside:
        inside.config_set("maxmemory", "1")
        await latest.store(result(2.0))
        inside.config_set("maxmemory", "0")
    await asyncio.sleep(0.2)
    assert await latest.load() == result(2.0)
    assert await LatestResult(tmp_path / "replica", link).load() == result(2.0)
    await link.aclose()


@pytest.mark.redis
async def test_redis_away_and_back(redis_server: RedisServer, tmp_path: Path) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S, rest_s=0.1)
    here, there = LatestResult(tmp_path / "here", link), LatestResult(tmp_path / "there", link)
    await here.store(result(50.0))
    redis_server.kill()
    await here.store(result(60.0))
    assert await here.load() == result(60.0)
    redis_server.start()  # empty
    await asyncio.sleep(0.2)
    assert await here.load() == result(60.0)  # and brings it
    assert await there.load() == result(60.0)
    await link.aclose()


@pytest.mark.redis
async def test_what_redis_has_is_not_replaced_by_an_older_file(redis_server: RedisServer, tmp_path: Path) -> None:
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    alone = LatestResult(tmp_path / "here")
    await alone.store(result(10.0))
    await LatestResult(tmp_path / "there", link).store(result(20.0))
    assert await LatestResult(tmp_path / "here", link).load() == result(20.0)
    await link.aclose()


@pytest.mark.redis
async def test_disk_that_fails_is_no_matter_with_redis(
    redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("a file")
    link = RedisClient(redis_server.url, timeout_s=PATIENT_S)
    latest = LatestResult(tmp_path / "data", link)
    await latest.store(result(50.0))
    assert [vars(record)["folder"] for record in caplog.records] == [tmp_path / "data"]
    assert await latest.load() == result(50.0)
    await link.aclose()


async def test_redis_dead_from_the_start(tmp_path: Path) -> None:
    link = RedisClient("redis://127.0.0.1:1/0")
    latest = LatestResult(tmp_path, link)
    with pytest.raises(InternalError, match="cannot be read"):
        await latest.load()  # whether there is a result is known to Redis alone
    await latest.store(result(50.0))
    assert await latest.load() == result(50.0)
    await link.aclose()


def test_file_can_be_read_by_others(tmp_path: Path) -> None:
    asyncio.run(LatestResult(tmp_path).store(result(1.0)))
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "data.json").stat().st_mode & 0o777 == 0o666 & ~mask
