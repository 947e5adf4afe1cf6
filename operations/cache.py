"""Remembers answers for a time, and computes each once however many ask for it at the same moment.

Within a process those who ask for the same key share one task. Between processes (several API workers, replicas) a
lease in the store names the one that computes; the others look for its result. A store that is down fails no request:
the answer is then computed in each process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import errors
from core.errors import ServiceError
from operations.breaker import StoreDown
from operations.cache_stores import CacheStore, RedisStore, SqliteStore
from operations.flights import Flights
from operations.redis_link import RedisLink

Value = Mapping[str, Any]
Producer = Callable[[], Awaitable[Value]]

LEASE_S = 10.0  # a process that dies while it computes holds the others up for this long
RENEW_S = 3.0  # two renewals may be lost before the lease is
POLL_S = (0.02, 0.25)  # shortest and longest pause between two looks for somebody else's result
FAILURE_TTL_S = 5.0  # long enough for those that wait to see it, too short to matter to those that come later
CACHE_FILE = "cache.sqlite3"
MAX_WAIT_S = 120.0  # for another process; then the answer is computed here


@dataclass(frozen=True, slots=True)
class Cached:
    """An answer from the cache.

    Attributes:
        value: The answer.
        hit: Whether it was there already; False also for those who waited while it was computed.
    """

    value: Value
    hit: bool


class ResultCache:
    """Answers by key; used from one event loop."""

    def __init__(self, store: CacheStore, *, namespace: str, ttl_s: float, lease_s: float = LEASE_S) -> None:
        """Takes its store.

        Args:
            store: Where results and leases are kept.
            namespace: Name of the question, so that equal keys of two questions stay apart.
            ttl_s: How long a result is kept (seconds); 0 keeps none, and simultaneous requests still share one.
            lease_s: How long a process may be silent before another computes in its place (seconds).
        """
        self._store = store
        self._namespace = namespace
        self._ttl_s = ttl_s
        self._lease_s = lease_s
        self._flights: Flights[Value] = Flights()

    async def get_or_compute(self, key: str, producer: Producer, *, version: str) -> Cached:
        """Gives the answer for a key, computed by ``producer`` when it is not known.

        The producer goes on while anybody waits for it, whoever asked first; when the last has gone it is cancelled.

        Args:
            key: What was asked, for example a URL; only its hash is stored.
            producer: Computes the answer, which must survive JSON.
            version: What made the answer, for example the model's tag: another version has other answers.

        Returns:
            The answer.

        Raises:
            Exception: What the producer raised, to all who waited for it; it is not remembered.
        """
        digest = self._digest(key, version)
        known = await self._look(digest)
        if known is not None:
            return Cached(known, hit=True)
        value = await self._flights.join(digest, lambda: self._fly(digest, producer))
        return Cached(value, hit=False)

    async def aclose(self) -> None:
        """Cancels what is under way and closes the store."""
        await self._flights.aclose()
        await self._store.aclose()

    def _digest(self, key: str, version: str) -> str:
        text = json.dumps([self._namespace, version, key])
        return hashlib.sha256(text.encode()).hexdigest()

    async def _fly(self, digest: str, producer: Producer) -> Value:
        """Computes, or waits for the process that does."""
        if self._ttl_s <= 0:
            return await producer()
        token = secrets.token_hex(8)
        try:
            result = await self._wait(digest, token)
        except StoreDown:
            return await producer()
        except BaseException:  # perhaps with the lease in hand
            await asyncio.shield(self._release(digest, token))
            raise
        if result is not None:
            return result
        async with self._lease(digest, token):
            return await self._produce(digest, token, producer)

    async def _wait(self, digest: str, token: str) -> Value | None:
        """Waits until the result is there, or the lease is ours (None)."""
        pause, holder = POLL_S[0], token
        give_up = time.monotonic() + MAX_WAIT_S
        while True:
            previous, holder = holder, await self._store.acquire(digest, token, self._lease_s)
            result = await self._outcome(digest, previous if previous != token else None)
            if result is not None and holder == token:
                await self._release(digest, token)
            if result is not None or holder == token or time.monotonic() > give_up:
                return result
            await asyncio.sleep(pause)
            pause = min(2 * pause, POLL_S[1])

    async def _outcome(self, digest: str, flight: str | None) -> Value | None:
        """Gives what another process has found, if it has; raises its failure."""
        result = _loads(await self._store.get(digest))
        if result is None and flight is not None:
            failure = _loads(await self._store.get(f"{digest}:{flight}"))
            if failure is not None:
                raise _to_error(failure)
        return result

    async def _produce(self, digest: str, token: str, producer: Producer) -> Value:
        try:
            value = await producer()
        except ServiceError as error:
            await self._keep(f"{digest}:{token}", _from_error(error), FAILURE_TTL_S)
            raise
        await self._keep(digest, value, self._ttl_s)
        return value

    @contextlib.asynccontextmanager
    async def _lease(self, digest: str, token: str) -> AsyncIterator[None]:
        ended = asyncio.Event()
        renewing = asyncio.create_task(self._renew(digest, token, ended))
        try:
            yield
        finally:
            # Before Python 3.12 ``asyncio.wait_for``, with which redis sends, loses a cancellation that comes at the
            # moment of its result; the event ends the loop then.
            ended.set()
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await asyncio.shield(self._release(digest, token))

    async def _renew(self, digest: str, token: str, ended: asyncio.Event) -> None:
        while not ended.is_set():
            await asyncio.sleep(min(RENEW_S, self._lease_s / 3))
            with contextlib.suppress(StoreDown):
                await self._store.acquire(digest, token, self._lease_s)

    async def _release(self, digest: str, token: str) -> None:
        with contextlib.suppress(StoreDown):
            await self._store.release(digest, token)

    async def _look(self, digest: str) -> Value | None:
        if self._ttl_s <= 0:
            return None
        with contextlib.suppress(StoreDown):
            return _loads(await self._store.get(digest))
        return None

    async def _keep(self, digest: str, value: Value, ttl_s: float) -> None:
        with contextlib.suppress(StoreDown):
            await self._store.set(digest, json.dumps(dict(value)).encode(), ttl_s)


def open_cache(redis: RedisLink | None, data_dir: Path, *, namespace: str, ttl_s: float) -> ResultCache:
    """Opens the cache where it belongs: in Redis where there is one, otherwise in a file.

    Args:
        redis: The link to Redis, or None.
        data_dir: Folder of the file.
        namespace: As :class:`ResultCache`.
        ttl_s: As :class:`ResultCache`.
    """
    store: CacheStore = SqliteStore(data_dir / CACHE_FILE) if redis is None else RedisStore(redis)
    return ResultCache(store, namespace=namespace, ttl_s=ttl_s)


def _loads(data: bytes | None) -> Value | None:
    """Reads a stored object; what cannot be read counts as not there."""
    if data is None:
        return None
    with contextlib.suppress(ValueError):
        value = json.loads(data)
        if isinstance(value, dict):
            return value
    return None


def _from_error(error: ServiceError) -> Value:
    return {"error": type(error).__name__, "message": error.message, "retry_after": error.retry_after}


def _to_error(failure: Value) -> ServiceError:
    kind = getattr(errors, str(failure.get("error")), None)
    known = kind if isinstance(kind, type) and issubclass(kind, ServiceError) else errors.InternalError
    return known(str(failure.get("message")), retry_after=failure.get("retry_after"))
