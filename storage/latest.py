"""The latest heart result: durable and whole at every moment, and the same for all workers and replicas.

See docs/contract.md, Heart sound.

It is kept in ``data.json``, and in Redis too where there is one. Both carry the moment of the result, so that the
newer is read when one of them was out of reach for a while; a crash leaves the old file or the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from core import metrics
from core.errors import InsufficientStorage, InternalError
from models.results import HeartResult
from storage.circuit_breaker import StoreUnavailable
from storage.latest_file import LATEST_US, MAX_BYTES, LatestFile, Stored
from storage.redis_client import PREFIX, RedisClient

T = TypeVar("T")

log = logging.getLogger("bundle.latest")

# The route promises to keep what it answers: an answer that was not kept would be taken for one that was.
NOT_KEPT = (
    "the recording was classified, but the result cannot be kept: the server's storage is full or cannot be written; "
    "tell its operator, and send the recording again later"
)
REDIS_KEY = f"{PREFIX}:heart:latest"

# Each script first deletes what is at the key and no hash, or has no time of a result: with it nothing could be stored.
_BEFORE = f"""
    local kind, before, wrong = redis.call('TYPE', KEYS[1])['ok'], 0, 0
    if kind == 'hash' then
        before = redis.call('HSTRLEN', KEYS[1], 'at') <= 32 and tonumber(redis.call('HGET', KEYS[1], 'at') or '')
    end
    if (kind ~= 'hash' and kind ~= 'none') or not (before and before >= 0 and before < {LATEST_US}) then
        redis.call('DEL', KEYS[1])
        kind, before, wrong = 'none', 0, 1
    end
"""
# The moment is that of the clock of Redis, so that replicas whose own clocks differ still agree on what is the latest.
_STORE = f"""
    {_BEFORE}
    local now = redis.call('TIME')
    local at = now[1] * 1000000 + now[2]
    if at <= before then at = before + 1 end
    local text = string.format('%.0f', at)
    redis.call('HSET', KEYS[1], 'result', ARGV[1], 'at', text)
    return {{wrong, text}}
"""
_LOAD = f"""
    {_BEFORE}
    if kind == 'none' then return {{wrong}} end
    local text = redis.call('HSTRLEN', KEYS[1], 'result') <= {MAX_BYTES} and redis.call('HGET', KEYS[1], 'result')
    return {{wrong, text or '', string.format('%.0f', before)}}
"""
_RESTORE = f"""
    {_BEFORE}
    if before < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'result', ARGV[1], 'at', ARGV[2]) end
"""
# Only the result of this moment, and not one that somebody has stored since it was read.
_DELETE = f"""
    {_BEFORE}
    if string.format('%.0f', before) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class LatestResult:
    """Stores and loads the latest result; any number of processes may share the folder and the Redis."""

    def __init__(self, data_dir: Path, redis: RedisClient | None = None) -> None:
        """Takes its places.

        Args:
            data_dir: Folder of ``data.json``; made when needed.
            redis: Link to the Redis that replicas share, or None.
        """
        self._file = LatestFile(data_dir)
        self._redis = redis
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="latest")

    async def store(self, result: HeartResult) -> None:
        """Keeps a result; when this returns, it survives a crash.

        Raises:
            InsufficientStorage: It could be written nowhere.
        """
        entry = Stored(result=result, at_us=time.time_ns() // 1000)
        at_us = await self._write_redis(entry.text)
        if at_us is not None:
            entry = Stored(result=result, at_us=at_us)
        if not await self._write_file(entry) and at_us is None:
            raise InsufficientStorage(NOT_KEPT)

    async def load(self) -> HeartResult | None:
        """Gives the latest result, or None when there is none yet.

        Raises:
            InternalError: It cannot be read.
        """
        from_file, from_redis = await asyncio.gather(self._read_file(), self._read_redis())
        entries = [entry for entry in (from_file, from_redis) if isinstance(entry, Stored)]
        if not entries:
            if from_file is None and from_redis is None:
                return None
            raise InternalError("the latest result cannot be read")
        newest = max(entries, key=lambda entry: entry.at_us)
        if newest is from_file and newest != from_redis:
            await self._restore_redis(newest)
        return newest.result

    async def aclose(self) -> None:
        """Lets go of the threads."""
        self._threads.shutdown(wait=False)

    async def _write_file(self, entry: Stored) -> bool:
        try:
            await self._in_thread(lambda: self._file.write(entry))
        except OSError as error:
            log.error("the latest result cannot be written to its file", extra={"why": error.strerror})
            return False
        return True

    async def _write_redis(self, text: str) -> int | None:
        """Writes to Redis and gives the moment by its clock, or None when it is down or there is none."""
        if self._redis is not None:
            with contextlib.suppress(StoreUnavailable):
                wrong, at = await self._redis.script(_STORE, [REDIS_KEY], text)
                metrics.INVALID.labels("latest_redis").inc(wrong)
                return int(at)
        return None

    async def _restore_redis(self, entry: Stored) -> None:
        """Brings what was stored while Redis was away, or what it lost."""
        if self._redis is not None:
            with contextlib.suppress(StoreUnavailable):
                await self._redis.script(_RESTORE, [REDIS_KEY], entry.text, entry.at_us)

    async def _read_file(self) -> Stored | InternalError | None:
        """A file that holds no result is left for the operator to see, until the next result takes its place."""
        try:
            return await self._in_thread(self._file.read)
        except (OSError, ValidationError) as error:
            if isinstance(error, ValidationError):
                metrics.INVALID.labels("latest_file").inc()
            log.error("the file of the latest result cannot be read", extra={"why": type(error).__name__})
            return InternalError("the latest result cannot be read")

    async def _read_redis(self) -> Stored | InternalError | None:
        if self._redis is None:
            return None
        try:
            wrong, *fields = await self._redis.script(_LOAD, [REDIS_KEY])
            metrics.INVALID.labels("latest_redis").inc(wrong)
            return await self._validated(self._redis, *fields) if fields else None
        except StoreUnavailable:
            return InternalError("the latest result cannot be read")

    async def _validated(self, redis: RedisClient, text: bytes, at: bytes) -> Stored | None:
        """What the hash holds; no result is deleted, counted, and not there."""
        try:
            return Stored.read(text, int(at))
        except ValidationError:
            metrics.INVALID.labels("latest_redis").inc()
            log.warning("what Redis has as the latest result is none, and was deleted")
            await redis.script(_DELETE, [REDIS_KEY], at)
            return None

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)
