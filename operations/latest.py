"""The latest heart result (C3): durable and whole at every moment, and the same for all workers and replicas.

It is kept in ``data.json``, and in Redis too where there is one. Both carry the moment of the result, so that the
newer is read when one of them was out of reach for a while; a crash leaves the old file or the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from core.errors import InternalError
from operations.breaker import StoreDown
from operations.redis_link import PREFIX, RedisLink

Result = dict[str, Any]
T = TypeVar("T")

log = logging.getLogger("bundle.latest")

FILE_NAME: Final = "data.json"
STALE_S = 60.0  # a temporary file of this age belongs to a process that died while writing
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


@dataclass(frozen=True, slots=True)
class _Entry:
    """A stored result: its JSON text, and the moment it was stored (microseconds since 1970, exact in a Lua number)."""

    text: str
    at_us: int


class LatestResult:
    """Stores and loads the latest result; any number of processes may share the folder and the Redis."""

    def __init__(self, data_dir: Path, redis: RedisLink | None = None) -> None:
        """Takes its places.

        Args:
            data_dir: Folder of ``data.json``; made when needed.
            redis: Link to the Redis that replicas share, or None.
        """
        self._file = _ResultFile(data_dir)
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
        text = _to_text(result)
        at_us = await self._write_redis(text)
        entry = _Entry(text, time.time_ns() // 1000 if at_us is None else at_us)
        if not await self._write_file(entry) and at_us is None:
            raise InternalError("the result could not be stored")

    async def load(self) -> Result | None:
        """Gives the latest result, or None when there is none yet.

        Raises:
            InternalError: It cannot be read.
        """
        from_file, from_redis = await asyncio.gather(self._read_file(), self._read_redis())
        entries = [entry for entry in (from_file, from_redis) if isinstance(entry, _Entry)]
        if not entries:
            if from_file is None and from_redis is None:
                return None
            raise InternalError("the latest result cannot be read")
        newest = max(entries, key=lambda entry: entry.at_us)
        if newest is from_file and newest != from_redis:
            await self._restore_redis(newest)
        return _from_text(newest.text)

    async def aclose(self) -> None:
        """Lets go of the threads."""
        self._threads.shutdown(wait=False)

    async def _write_file(self, entry: _Entry) -> bool:
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

    async def _restore_redis(self, entry: _Entry) -> None:
        """Brings what was stored while Redis was away, or what it lost."""
        if self._redis is not None:
            with contextlib.suppress(StoreDown):
                await self._redis.script(_RESTORE, [REDIS_KEY], entry.text, entry.at_us)

    async def _read_file(self) -> _Entry | InternalError | None:
        try:
            return await self._in_thread(self._file.read)
        except (OSError, ValueError) as error:
            log.error("the file of the latest result cannot be read", extra={"why": type(error).__name__})
            return InternalError("the latest result cannot be read")

    async def _read_redis(self) -> _Entry | InternalError | None:
        if self._redis is None:
            return None
        try:
            fields = await self._redis.run(lambda client: client.hmget(REDIS_KEY, ["result", "at"]))
            return _from_fields(*fields)
        except (StoreDown, ValueError):
            return InternalError("the latest result cannot be read")

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)


class _ResultFile:
    """``data.json``; the time of the result is the file's own modification time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._swept = False

    def write(self, entry: _Entry) -> None:
        """Writes a new file beside the old one, forces it to the disk, and puts it in its place in one step.

        Raises:
            OSError: The disk.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._sweep()
        temporary = self._folder / f".{FILE_NAME}.{secrets.token_hex(8)}.tmp"
        try:
            self._fill(temporary, entry)
            temporary.replace(self._path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._sync_folder()

    def read(self) -> _Entry | None:
        """Reads the file, if there is one.

        Raises:
            OSError: The disk.
            ValueError: It does not hold a result.
        """
        try:
            with self._path.open(encoding="utf-8") as file:
                text, at_ns = file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return None
        _from_text(text)
        return _Entry(text, at_ns // 1000)

    @staticmethod
    def _fill(path: Path, entry: _Entry) -> None:
        with path.open("x", encoding="utf-8") as file:
            file.write(entry.text)
            file.flush()
            os.utime(file.fileno(), ns=(entry.at_us * 1000, entry.at_us * 1000))
            os.fsync(file.fileno())

    def _sync_folder(self) -> None:
        """Forces the renaming itself to the disk."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Removes what processes left that died while writing."""
        self._swept = True
        for left in self._folder.glob(f".{FILE_NAME}.*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_ctime > STALE_S:
                    left.unlink()


def _to_text(result: Mapping[str, Any]) -> str:
    text = json.dumps({"class": result["class"], "confidence": result["confidence"]}, allow_nan=False)
    _from_text(text)
    return text


def _from_text(text: str) -> Result:
    """Reads a result's JSON.

    Raises:
        ValueError: It is not exactly of the form of C3.
    """
    value = json.loads(text, parse_int=float)
    if not isinstance(value, dict) or set(value) != {"class", "confidence"}:
        raise ValueError("not a result")
    name, confidence = value["class"], value["confidence"]
    if not (isinstance(name, str) and isinstance(confidence, float) and math.isfinite(confidence)):
        raise ValueError("not a result")
    return {"class": name, "confidence": confidence}


def _from_fields(text: bytes | str | None, at: bytes | str | None) -> _Entry | None:
    """Reads the two fields of the Redis hash.

    Raises:
        ValueError: They do not hold a result.
    """
    if text is None and at is None:
        return None
    if text is None or at is None:
        raise ValueError("not a result")
    plain = text.decode() if isinstance(text, bytes) else text
    _from_text(plain)
    return _Entry(plain, int(at))
