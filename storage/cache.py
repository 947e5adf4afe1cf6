"""Remembers answers for a time, and computes each once however many ask for it at the same moment.

Within a process those who ask for the same key share one task. Between processes (several API workers, replicas) a
lease in the store names the one that computes; the others look for its result. A store that is down fails no request:
the answer is then computed in each process. What comes back from a store is validated by the model that wrote it, and
what does not pass is deleted and counts as not there.

An exception refers to its traceback, which refers to the variables of every frame that it came through. A frame that
keeps the task which failed closes a reference cycle. What the frames hold, such as a download, is then kept until a
full garbage collection. So every function that awaits a task drops its reference to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from core import errors, memory, metrics
from core.errors import ServiceError
from models.messages import CacheEntry, Kept
from storage.cache_backends import CacheStore, RedisStore, SqliteStore
from storage.redis_client import RedisClient, StoreUnavailable

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiters: int = 0


class SingleFlight(Generic[T]):
    """Tasks under way, by key.

    A computation goes on while any caller waits for it. When the last one has gone, it is cancelled.
    """

    def __init__(self) -> None:
        self._computations: dict[str, _Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()  # also those that were cancelled and have not ended yet

    async def join(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        """Gives the result of the computation under way for a key, which is started if there is none.

        Raises:
            Exception: What the computation raised, to all who wait for it.
        """
        flight = self._computations.get(key) or self._start(key, compute)
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done():
                self._forget(key, flight)  # the next caller starts a new computation
                flight.task.cancel()
            del flight  # breaks the reference cycle of a failure

    async def aclose(self) -> None:
        """Cancels what is under way, and waits until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, key: str, compute: Callable[[], Awaitable[T]]) -> _Flight[T]:
        async def run() -> T:
            with memory.lease_apart():
                return await compute()

        flight = _Flight(asyncio.create_task(run()))
        self._computations[key] = flight
        self._tasks.add(flight.task)
        flight.task.add_done_callback(lambda task: self._land(key, flight, task))
        return flight

    def _land(self, key: str, flight: _Flight[T], task: asyncio.Task[T]) -> None:
        self._forget(key, flight)
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nothing is printed when the last waiter left at this very moment

    def _forget(self, key: str, flight: _Flight[T]) -> None:
        if self._computations.get(key) is flight:
            del self._computations[key]


E = TypeVar("E", bound=CacheEntry)
K = TypeVar("K", bound=Kept)

LEASE_S = 10.0  # a process that dies while it computes holds the others up for this long
RENEW_S = 3.0  # two renewals may be lost before the lease is
POLL_S = (0.02, 0.25)  # shortest and longest pause between two looks for the result of another process
FAILURE_TTL_S = 5.0  # long enough for those that wait to see it, too short to matter to those that come later
CACHE_FILE = "cache.sqlite3"
MAX_WAIT_S = 120.0  # for another process; then this process computes the answer

_KINDS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ServiceError)
}


def _check_kind(name: str) -> str:
    if name not in _KINDS:
        raise ValueError("no such error")
    return name


class Failure(Kept):
    """What a computation failed with, for those in other processes who wait for it.

    Attributes:
        error: Name of the class in ``core.errors``.
        message: For the caller.
        retry_after: Seconds, if there is a time.
    """

    error: Annotated[str, AfterValidator(_check_kind)]
    message: str
    retry_after: float | None = Field(ge=0)

    @classmethod
    def of(cls, error: ServiceError) -> Failure:
        """Describes an error; one of a class that other processes do not know counts as the nearest that they do."""
        name = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS)
        return cls(error=name, message=error.message, retry_after=error.retry_after)

    def restore(self) -> ServiceError:
        """Makes the error again."""
        return _KINDS[self.error](self.message, retry_after=self.retry_after)


@dataclass(frozen=True, slots=True)
class Cached(Generic[E]):
    """An answer from the cache.

    Attributes:
        value: The answer.
        hit: Whether it was there already; False also for those who waited while it was computed.
    """

    value: E
    hit: bool


class ResultCache(Generic[E]):
    """Answers by key; used from one event loop."""

    def __init__(
        self, store: CacheStore, form: type[E], *, namespace: str, ttl_s: float, lease_s: float = LEASE_S
    ) -> None:
        """Takes its store.

        Args:
            store: Where results and leases are kept.
            form: What an answer is; it writes them and validates what is read.
            namespace: Name of the question, so that equal keys of two questions stay apart.
            ttl_s: How long a result is kept (seconds); 0 keeps none, and simultaneous requests still share one.
            lease_s: How long a process may be silent before another computes in its place (seconds).
        """
        self._store = store
        self._form = form
        self._namespace = namespace
        self._ttl_s = ttl_s
        self._lease_s = lease_s
        self._single_flight: SingleFlight[E] = SingleFlight()

    async def get_or_compute(self, key: str, producer: Callable[[], Awaitable[E]], *, version: str) -> Cached[E]:
        """Gives the answer for a key, computed by ``producer`` when it is not known.

        The producer goes on while any caller waits for it. When the last one has gone, it is cancelled.

        Args:
            key: What was asked, for example a URL; only its hash is stored.
            producer: Computes the answer.
            version: Tag of the model that would answer. An answer that another gave is not kept.

        Returns:
            The answer.

        Raises:
            Exception: What the producer raised, to all who waited for it; it is not remembered.
        """
        digest = self.digest(key, version)
        known = await self._look(digest)
        if known is not None:
            return Cached(known, hit=True)
        value = await self._single_flight.join(digest, lambda: self._fly(digest, producer, version))
        return Cached(value, hit=False)

    async def aclose(self) -> None:
        """Cancels what is under way and closes the store."""
        await self._single_flight.aclose()
        await self._store.aclose()

    def digest(self, key: str, version: str) -> str:
        """The key under which the store has an answer; arguments as of ``get_or_compute``."""
        text = json.dumps([self._namespace, version, key])
        return hashlib.sha256(text.encode()).hexdigest()

    async def _fly(self, digest: str, producer: Callable[[], Awaitable[E]], version: str) -> E:
        """Computes, or waits for the process that does."""
        if self._ttl_s <= 0:
            return await producer()
        token = secrets.token_hex(8)
        try:
            result = await self._wait(digest, token)
        except StoreUnavailable:
            return await producer()
        except BaseException:  # perhaps with the lease in hand
            await asyncio.shield(self._release(digest, token))
            raise
        if result is not None:
            return result
        async with self._lease(digest, token):
            return await self._produce(digest, token, producer, version)

    async def _wait(self, digest: str, token: str) -> E | None:
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

    async def _outcome(self, digest: str, flight: str | None) -> E | None:
        """Gives what another process has found, if it has; raises its failure."""
        result = await self._read(digest, self._form)
        if result is None and flight is not None:
            failure = await self._read(f"{digest}:{flight}", Failure)
            if failure is not None:
                raise failure.restore()
        return result

    async def _read(self, key: str, form: type[K]) -> K | None:
        """Reads a value; one that its model refuses is deleted, counted, and not there."""
        data = await self._store.get(key)
        if data is None:
            return None
        try:
            return form.model_validate_json(data)
        except ValidationError:
            metrics.INVALID.labels("cache").inc()
            await self._store.delete(key)
            return None

    async def _produce(self, digest: str, token: str, producer: Callable[[], Awaitable[E]], version: str) -> E:
        try:
            value = await producer()
        except ServiceError as error:
            await self._keep(f"{digest}:{token}", Failure.of(error), FAILURE_TTL_S)
            raise
        if value.model == version:  # else the runner was started again meanwhile, with another entry of the store
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
            with contextlib.suppress(StoreUnavailable):
                await self._store.acquire(digest, token, self._lease_s)

    async def _release(self, digest: str, token: str) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._store.release(digest, token)

    async def _look(self, digest: str) -> E | None:
        if self._ttl_s <= 0:
            return None
        with contextlib.suppress(StoreUnavailable):
            return await self._read(digest, self._form)
        return None

    async def _keep(self, digest: str, value: Kept, ttl_s: float) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._store.set(digest, value.model_dump_json().encode(), ttl_s)


def open_cache(
    redis: RedisClient | None, data_dir: Path, form: type[E], *, namespace: str, ttl_s: float
) -> ResultCache[E]:
    """Opens the cache where it belongs: in Redis where there is one, otherwise in a file.

    Args:
        redis: The link to Redis, or None.
        data_dir: Folder of the file.
        form: As :class:`ResultCache`.
        namespace: As :class:`ResultCache`.
        ttl_s: As :class:`ResultCache`.
    """
    store: CacheStore = SqliteStore(data_dir / CACHE_FILE) if redis is None else RedisStore(redis)
    return ResultCache(store, form, namespace=namespace, ttl_s=ttl_s)
