"""Caches as the tests open and ask them, and work that can be counted, held up and made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from models.messages import CacheEntry
from storage.cache import Cached, ResultCache
from storage.cache_backends import CacheStore, RedisStore, SqliteStore
from storage.redis_client import RedisClient

PATIENT_S = 10.0  # for a Redis on a machine that does other things too
URL = "https://media.example/a.wav?token=s3cret"
VERSION = "audio_scene:1"


class Found(CacheEntry):
    """What the producers below find."""

    model: str = "audio_scene:1"
    run: int = 0
    by: int = 0


Cache = ResultCache[Found]


class Work:
    """A producer that counts its runs, and can be held up or made to fail."""

    def __init__(self, delay_s: float = 0.0, error: Exception | None = None) -> None:
        self.runs = 0
        self.ended = 0
        self.open = asyncio.Event()
        self.open.set()
        self.delay_s = delay_s
        self.error = error

    async def __call__(self) -> Found:
        self.runs += 1
        run = self.runs
        await self.open.wait()
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        self.ended += 1
        return Found(run=run)


class WatchedStore:
    """A store that notes each look that it has answered: who finds nothing joins the computation in the same step."""

    def __init__(self, store: CacheStore, looks: list[str]) -> None:
        self._look, self._looks = store.get, looks
        self.delete, self.set, self.aclose = store.delete, store.set, store.aclose
        self.acquire, self.release = store.acquire, store.release

    async def get(self, key: str) -> bytes | None:
        found = await self._look(key)
        self._looks.append(key)
        return found


def make(kind: str, place: str, *, looks: list[str] | None = None, **options: Any) -> tuple[Cache, RedisClient | None]:
    """Opens a cache as another process would: ``place`` is a Redis URL or a file; ``looks`` as of ``WatchedStore``."""
    link = RedisClient(place, timeout_s=PATIENT_S) if kind == "redis" else None
    store: CacheStore = RedisStore(link) if link is not None else SqliteStore(Path(place))
    if looks is not None:
        store = WatchedStore(store, looks)
    return ResultCache(store, Found, namespace="scene", **{"ttl_s": 60.0, **options}), link


async def ask(
    cache: Cache, work: Callable[[], Awaitable[Found]], url: str = URL, version: str = VERSION
) -> Cached[Found]:
    return await cache.get_or_compute(url, work, version=version)


async def ready(*caches: Cache) -> None:
    """Opens files and connections, so that what follows does not wait for them."""
    for cache in caches:
        await ask(cache, Work(), "https://media.example/other.wav")


async def until(condition: Callable[[], bool]) -> None:
    """Lets others work until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
