"""The latest heart result: durable and whole at every moment, and the same for all workers and replicas.

See docs/contract.md, Heart sound.

It is kept in ``data.json``, and in Redis too where there is one. Both carry the moment of the result, so that the
newer is read when one of them was out of reach for a while; a crash leaves the old file or the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from pydantic import Field, ValidationError

from core import metrics
from core.errors import InsufficientStorage, InternalError
from core.files import remove_stale_parts, replace_file
from models.messages import HeartResult, Kept
from storage.redis_client import PREFIX, RedisClient, StoreUnavailable

T = TypeVar("T")

log = logging.getLogger("bundle.latest")

# The route promises to keep what it answers: an answer that was not kept would be taken for one that was.
NOT_KEPT = (
    "the recording was classified, but the result cannot be kept: the server's storage is full or cannot be written; "
    "tell its operator, and send the recording again later"
)
FILE_NAME: Final = "data.json"
MAX_BYTES = 4096  # a result has some 50; a file or a value that is longer holds none, and is not read whole
LATEST_US: Final = 7_258_118_400_000_000  # the year 2200; exact in a Lua number, and a file can have this time
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
# Only the result of this moment, and not one that was stored since it was read.
_DELETE = f"""
    {_BEFORE}
    if string.format('%.0f', before) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class Stored(Kept):
    """A stored result.

    Attributes:
        result: Class and confidence.
        at_us: The moment it was stored (microseconds since 1970).
    """

    result: HeartResult
    at_us: int = Field(ge=0, le=LATEST_US)

    @property
    def text(self) -> str:
        """The result in JSON, as the contract shows it."""
        return json.dumps(self.result.model_dump())

    @classmethod
    def read(cls, text: bytes, at_us: int) -> Stored:
        """Reads a result.

        Args:
            text: JSON.
            at_us: The moment it was stored, as the store says.

        Raises:
            ValidationError: They are not what this class writes.
        """
        whole = text if len(text) <= MAX_BYTES else b""
        return cls(result=HeartResult.model_validate_json(whole), at_us=at_us)


class LatestFile:
    """``data.json``; the time of the result is the file's own modification time."""

    def __init__(self, folder: Path) -> None:
        """Takes its place.

        Args:
            folder: Where it is; made when needed.
        """
        self._folder = folder
        self._path = folder / FILE_NAME
        self._swept = False

    def write(self, entry: Stored) -> None:
        """Writes a new file beside the old one, forces it to the disk, and puts it in its place in one step.

        Raises:
            OSError: The disk.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._swept = True
            remove_stale_parts(self._path)
        replace_file(self._path, entry.text.encode(), modified_ns=entry.at_us * 1000)

    def read(self) -> Stored | None:
        """Reads the file, if there is one.

        Raises:
            OSError: The disk.
            ValidationError: It does not hold a result.
        """
        try:
            with open(self._path, "rb", opener=_open_at_once) as file:
                text, at_us = file.read(MAX_BYTES + 1) or b"", os.fstat(file.fileno()).st_mtime_ns // 1000
        except FileNotFoundError:
            return None
        return Stored.read(text, at_us if 0 <= at_us <= LATEST_US else 0)


def _open_at_once(path: str, flags: int) -> int:
    """Opens what is there, also a pipe that nothing is written to, which would be waited for without end."""
    return os.open(path, flags | os.O_NONBLOCK)


class LatestResult:
    """Stores and loads the latest result; any number of processes may share the folder and the Redis."""

    def __init__(self, data_dir: Path, redis: RedisClient | None = None) -> None:
        """Takes its places.

        Args:
            data_dir: Folder of ``data.json``; made when needed.
            redis: Link to the Redis that replicas share, or None.
        """
        self._folder = data_dir
        self._file = LatestFile(data_dir)
        self._redis = redis
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="latest")
        self._seen_us = 0  # the latest moment that was stored or loaded: the clock of Redis may be ahead of ours

    async def store(self, result: HeartResult) -> None:
        """Keeps a result; when this returns, it survives a crash.

        Raises:
            InsufficientStorage: It could be written nowhere.
        """
        entry = Stored(result=result, at_us=max(time.time_ns() // 1000, min(self._seen_us + 1, LATEST_US)))
        at_us = await self._write_redis(entry.text)
        if at_us is not None:
            entry = Stored(result=result, at_us=at_us)
        self._seen_us = entry.at_us
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
        self._seen_us = max(self._seen_us, newest.at_us)
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
            log.error(
                "the latest result cannot be written to its file", extra={"why": error.strerror, "folder": self._folder}
            )
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
            why = {"why": type(error).__name__, "folder": self._folder}
            log.error("the file of the latest result cannot be read", extra=why)
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
