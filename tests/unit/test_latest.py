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

from core.errors import InternalError
from operations.latest import REDIS_KEY, LatestResult
from operations.redis_link import RedisLink
from tests.redis_server import RedisServer
from tests.spawned import exit_codes, spawned

pytestmark = pytest.mark.anyio

PATIENT_S = 10.0  # for a Redis on a machine that does other things too
ROOT = Path(__file__).parents[2]


def result(confidence: float, name: str = "Normal") -> dict[str, Any]:
    return {"class": name, "confidence": confidence}


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_nothing_yet(tmp_path: Path) -> None:
    assert await LatestResult(tmp_path / "data").load() is None


async def test_form_of_the_file_is_that_of_the_contract(tmp_path: Path) -> None:
    latest = LatestResult(tmp_path / "data")
    await latest.store(result(98.5))
    assert (tmp_path / "data" / "data.json").read_text() == '{"class": "Normal", "confidence": 98.5}'
    assert await latest.load() == {"class": "Normal", "confidence": 98.5}


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
    assert loaded["confidence"] in range(100)
    assert files(tmp_path) == ["data.json"]


@pytest.mark.parametrize(
    "wrong", [{}, {"class": "Normal"}, {"class": 1, "confidence": 1.0}, {"class": "a", "confidence": "b"}]
)
async def test_other_forms_are_not_stored(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        await LatestResult(tmp_path).store(wrong)
    assert files(tmp_path) == []


async def test_not_a_number_is_not_stored(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        await LatestResult(tmp_path).store(result(float("nan")))


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
    with pytest.raises(InternalError, match="could not be stored"):
        await latest.store(result(1.0))


async def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(InternalError, match="could not be stored"):
        await LatestResult(tmp_path / "data").store(result(1.0))


async def test_leftovers_of_the_dead_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / ".data.json.0123456789abcdef.tmp"
    left.write_text("half")
    await LatestResult(tmp_path).store(result(1.0))
    assert left.exists()  # somebody may be writing it at this moment
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 120)
    await LatestResult(tmp_path).store(result(2.0))
    assert not left.exists()


WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from operations.latest import LatestResult

async def main():
    latest = LatestResult(Path(sys.argv[1]))
    for number in itertools.count():
        await latest.store({"class": "Normal" * 2000, "confidence": float(number)})
        if number == 0:
            print("ready", flush=True)

asyncio.run(main())
"""


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    pause = random.Random(7)
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        ) as writer:
            try:
                assert writer.stdout is not None
                assert writer.stdout.readline() == b"ready\n"
                time.sleep(pause.uniform(0.0, 0.05))
            finally:
                writer.kill()
        loaded = asyncio.run(LatestResult(tmp_path).load())
        assert loaded is not None
        assert loaded["class"] == "Normal" * 2000


def write_many(folder: str, name: str) -> None:
    async def main() -> None:
        latest = LatestResult(Path(folder))
        for number in range(50):
            await latest.store(result(float(number), name * 500))

    asyncio.run(main())


def test_several_processes_never_show_half_a_result(tmp_path: Path) -> None:
    path, seen = tmp_path / "data.json", 0
    with spawned(write_many, *((str(tmp_path), name) for name in "ab")) as processes:
        while any(process.is_alive() for process in processes):
            if path.exists():
                assert json.loads(path.read_text())["class"] in {"a" * 500, "b" * 500}
                seen += 1
            time.sleep(0.001)
        assert exit_codes(processes) == [0, 0]
    assert seen


@pytest.mark.redis
async def test_replicas_agree_through_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    link = RedisLink(redis_server.url, timeout_s=PATIENT_S)
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
    link = RedisLink(redis_server.url, timeout_s=PATIENT_S)
    ahead, behind = LatestResult(tmp_path / "ahead", link), LatestResult(tmp_path / "behind", link)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
    await ahead.store(result(50.0))
    monkeypatch.setattr(time, "time_ns", lambda: now - 3600 * 10**9)
    await behind.store(result(60.0))
    assert await ahead.load() == await behind.load() == result(60.0)
    await link.aclose()


@pytest.mark.redis
async def test_redis_away_and_back(redis_server: RedisServer, tmp_path: Path) -> None:
    link = RedisLink(redis_server.url, timeout_s=PATIENT_S, rest_s=0.1)
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
    link = RedisLink(redis_server.url, timeout_s=PATIENT_S)
    alone = LatestResult(tmp_path / "here")
    await alone.store(result(10.0))
    await LatestResult(tmp_path / "there", link).store(result(20.0))
    assert await LatestResult(tmp_path / "here", link).load() == result(20.0)
    await link.aclose()


@pytest.mark.redis
async def test_disk_that_fails_is_no_matter_with_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    link = RedisLink(redis_server.url, timeout_s=PATIENT_S)
    latest = LatestResult(tmp_path / "data", link)
    await latest.store(result(50.0))
    assert await latest.load() == result(50.0)
    await link.aclose()


@pytest.mark.redis
@pytest.mark.parametrize("nonsense", ["{", '{"class": "Normal", "confidence": null}'])
async def test_nonsense_in_redis(redis_server: RedisServer, tmp_path: Path, nonsense: str) -> None:
    link = RedisLink(redis_server.url, timeout_s=PATIENT_S)
    with redis_server.client as client:
        client.hset(REDIS_KEY, mapping={"result": nonsense, "at": "1"})
    with pytest.raises(InternalError):
        await LatestResult(tmp_path, link).load()
    await link.aclose()


async def test_redis_dead_from_the_start(tmp_path: Path) -> None:
    link = RedisLink("redis://127.0.0.1:1/0")
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
