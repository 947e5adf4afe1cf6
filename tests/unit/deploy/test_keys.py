"""Keys of callers in containers: the Redis of the stack and of Kubernetes keeps them, and the image can make them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from api.guard import Quotas
from models.messages import HeartResult
from storage import keys, latest
from storage.cache_backends import RedisStore
from storage.keys import CallerKey, KeysInRedis
from storage.latest import LatestResult
from storage.redis_client import RedisClient
from tests.support.layout import bento_files
from tests.support.programs import program
from tests.support.redis_server import RedisServer
from tests.support.served import ROOT

KEY = CallerKey(name="clinic", sha256="0" * 64, requests_per_minute=5, bytes_per_day=1000)
HEART = HeartResult.model_validate({"class": "Normal", "confidence": 57.4})


def arguments(place: str) -> list[str]:
    """How Redis is started there."""
    if place == "stack":
        stack = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
        return list(stack["services"]["redis"]["command"])
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes/overlays/redis/redis.yaml").read_text())
    (deployment,) = (one for one in documents if one["kind"] == "Deployment")
    return list(deployment["spec"]["template"]["spec"]["containers"][0]["args"])


@pytest.fixture(params=["stack", "kubernetes"])
def redis_there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that is started as there, but for folder and port."""
    path = program("redis-server")
    folder = tmp_path / "redis"
    folder.mkdir()
    options = [option.replace("/data", str(folder)) for option in arguments(request.param)[1:]]
    server = RedisServer(path, folder, options)
    yield server
    server.kill()


@pytest.fixture
async def link(redis_there: RedisServer) -> AsyncIterator[RedisClient]:
    """The bundle's connection to it."""
    client = RedisClient(redis_there.url, rest_s=0)
    yield client
    await client.aclose()


@pytest.mark.anyio
async def test_keys_outlive_a_full_memory_and_a_restart(
    redis_there: RedisServer, link: RedisClient, tmp_path: Path
) -> None:
    cache, quotas = RedisStore(link), Quotas(link)
    assert await KeysInRedis(link).add(KEY)
    await LatestResult(tmp_path / "one", link).store(HEART)
    await cache.set("answer", b"{}", 60)
    await cache.acquire("answer", "token", 10)
    assert await quotas.spend(KEY, "requests")
    assert await quotas.spend(KEY, "bytes", 10)
    with redis_there.client as inside:
        assert inside.dbsize() == 6
        # What has no time to live is never evicted.
        assert {name for name in inside.scan_iter() if inside.ttl(name) < 0} == {keys.REDIS_KEY, latest.REDIS_KEY}
        inside.config_set("maxmemory", "4mb")
    for number in range(100):
        await cache.set(str(number), bytes(1 << 16), 60)
    with redis_there.client as inside:
        assert inside.info("stats")["evicted_keys"] > 0
    redis_there.kill()
    redis_there.start()
    assert await KeysInRedis(link).load() == [KEY]
    assert await LatestResult(tmp_path / "two", link).load() == HEART


def test_the_image_makes_keys(tmp_path: Path) -> None:
    """By its entry point, from what a bento holds."""
    for name in bento_files():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "src" / name)
    start = (ROOT / "deploy" / "start").read_text()
    assert start.count("/bento/src") == 1
    (tmp_path / "start").write_text(start.replace("/bento/src", str(tmp_path / "src")))
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def command(*given: str) -> str:
        called = ["sh", str(tmp_path / "start"), "keys", "--store", str(tmp_path / "keys.json"), *given]
        return subprocess.check_output(called, cwd=tmp_path, env=variables, text=True, timeout=60)

    assert command("add", "clinic", "--questions", "heart-sound").startswith(keys.KEY_PREFIX)
    assert '"name": "clinic"' in command("list")
