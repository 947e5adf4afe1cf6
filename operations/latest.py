"""The latest heart result (C3): durable and whole at every moment, and the same for all workers and replicas.

It is kept in ``data.json``, and in Redis too where there is one. Both carry the moment of the result, so that the
newer is read when one of them was out of reach for a while; a crash leaves the old file or the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from core.errors import InternalError
from operations.breaker import StoreDown
from operations.redis_link import PREFIX, RedisLink
from operations.result_file import Result, ResultFile, Stored, from_text, to_text

T = TypeVar("T")

log = logging.getLogger("bundle.latest")

REDIS_KEY = f"{PREFIX}:heart:latest"

# The moment is that of the clock of Redis, so that replicas whose own clocks differ still agree on what is the latest.
_STORE = """
    local now = redis.call('TIME')
    local at = now[1] * 1000000 + now[2]
    local before = tonumber(redis.call('HGET', KEYS[1], 'at') or '0')
    if at <= before then at = before + 1 end
    local text = string.format('%.0f', at)
    redis.call('HSET', KEYS[1], 'result', ARGV[1], 'at', text)
    return text
"""
_RESTORE = """
    local before = tonumber(redis.call('HGET', KEYS[1], 'at') or '0')
    if before < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'result', ARGV[1], 'at', ARGV[2]) end
"""


class LatestResult:
    """Stores and loads the latest result; any number of processes may share the folder and the Redis."""

    def __init__(self, data_dir: Path, redis: RedisLink | None = None) -> None:
        """Takes its places.

        Args:
            data_dir: Folder of ``data.json``; made when needed.
            redis: Link to the Redis that replicas share, or None.
        """
        self._file = ResultFile(data_dir)
        self._redis = redis
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="latest")

    async def store(self, result: Mapping[str, Any]) -> None:
        """Keeps a result; when this returns, it survives a crash.

        Args:
            result: ``{"class": ..., "confidence": ...}``, the confidence in percent.

        Raises:
            InternalError: It could be written nowhere.
            ValueError: It has another form.
        """
        text = to_text(result)
        at_us = await self._write_redis(text)
        entry = Stored(text, time.time_ns() // 1000 if at_us is None else at_us)
        if not await self._write_file(entry) and at_us is None:
            raise InternalError("the result could not be stored")

    async def load(self) -> Result | None:
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
        return from_text(newest.text)

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
            with contextlib.suppress(StoreDown):
                return int(await self._redis.script(_STORE, [REDIS_KEY], text))
        return None

    async def _restore_redis(self, entry: Stored) -> None:
        """Brings what was stored while Redis was away, or what it lost."""
        if self._redis is not None:
            with contextlib.suppress(StoreDown):
                await self._redis.script(_RESTORE, [REDIS_KEY], entry.text, entry.at_us)

    async def _read_file(self) -> Stored | InternalError | None:
        try:
            return await self._in_thread(self._file.read)
        except (OSError, ValueError) as error:
            log.error("the file of the latest result cannot be read", extra={"why": type(error).__name__})
            return InternalError("the latest result cannot be read")

    async def _read_redis(self) -> Stored | InternalError | None:
        if self._redis is None:
            return None
        try:
            fields = await self._redis.run(lambda client: client.hmget(REDIS_KEY, ["result", "at"]))
            return _from_fields(*fields)
        except (StoreDown, ValueError):
            return InternalError("the latest result cannot be read")

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)


def _from_fields(text: bytes | str | None, at: bytes | str | None) -> Stored | None:
    """Reads the two fields of the Redis hash.

    Raises:
        ValueError: They do not hold a result.
    """
    if text is None and at is None:
        return None
    if text is None or at is None:
        raise ValueError("not a result")
    plain = text.decode() if isinstance(text, bytes) else text
    from_text(plain)
    return Stored(plain, int(at))
