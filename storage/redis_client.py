"""The connection to Redis (or Valkey), with short time-outs, behind a circuit breaker for every kind of store.

The breaker keeps a store that is down from slowing every request: after a failure the store is left alone for some
seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool, Redis

T = TypeVar("T")

log = logging.getLogger("bundle.store")

REST_S = 5.0  # a restarted store is back in use after this; one request in this time pays the time-out


class StoreUnavailable(Exception):  # noqa: N818 - a state, not a mistake
    """The store did not do what was asked; callers go on without it."""


class CircuitBreaker:
    """Runs calls to one store, and refuses them at once while it rests after a failure."""

    def __init__(
        self,
        name: str,
        failures: tuple[type[Exception], ...],
        *,
        timeout_s: float,
        rest_s: float = REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes its bounds.

        Args:
            name: What the log calls the store.
            failures: Exceptions that mean that the store is down.
            timeout_s: Longest time for one call (seconds).
            rest_s: How long the store is left alone after a failure (seconds).
            clock: Monotonic clock (seconds).
        """
        self._name = name
        self._failures: tuple[type[Exception], ...] = (*failures, TimeoutError)
        self._timeout_s = timeout_s
        self._rest_s = rest_s
        self._clock = clock
        self._resting_until: float | None = None

    async def call(self, action: Callable[[], Awaitable[T]]) -> T:
        """Runs one call.

        Args:
            action: Makes the call.

        Raises:
            StoreUnavailable: It failed or took too long, or the store rests.
        """
        was_down = self._resting_until is not None
        if self._resting_until is not None:
            if self._clock() < self._resting_until:
                raise StoreUnavailable(self._name)
            self._resting_until = self._clock() + self._rest_s  # this call tries; the others go on resting
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await action()
        except self._failures as error:
            if self._resting_until is None:
                log.warning(
                    "store is down, going on without it", extra={"store": self._name, "why": type(error).__name__}
                )
            self._resting_until = self._clock() + self._rest_s
            raise StoreUnavailable(f"{self._name}: {type(error).__name__}") from error
        if was_down and self._resting_until is not None:
            self._resting_until = None
            log.info("store is back", extra={"store": self._name})
        return answer


TIMEOUT_S = 0.5  # of a call, with a new connection in place of a stale one; a Redis that is well needs milliseconds
PREFIX = "bundle"  # of every key, so that a Redis can be shared


def check_url(url: str) -> None:
    """Makes a connection of an address, as far as that goes without the network.

    Raises:
        ValueError: It cannot be made; the message names the options of the address, but not their values.
    """
    from redis.asyncio import ConnectionPool
    from redis.exceptions import RedisError

    try:
        ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call, unused-ignore]
    except (AttributeError, TypeError, ValueError, RedisError):
        options = ", ".join(name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True))
        raise ValueError(f"no connection can be made of it; its options are: {options or 'none'}") from None


def place(url: str) -> str:
    """Where a Redis is, in words for people: without user, password and options."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"redis at {parts.path}"
    return f"redis at {parts.hostname or 'localhost'}:{parts.port or 6379}"


class RedisClient:
    """One Redis, used from one event loop."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, rest_s: float = REST_S) -> None:
        """Takes the address; connects at the first call.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            timeout_s: Longest time for one call (seconds).
            rest_s: How long a Redis that failed is left alone (seconds).
        """
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as RedisConnectionError
        from redis.exceptions import RedisError

        self._client: Redis = Redis.from_url(  # type: ignore[no-untyped-call, unused-ignore]
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        failures = (RedisError, OSError, ValueError)
        self._breaker = CircuitBreaker(place(url), failures, timeout_s=timeout_s, rest_s=rest_s)

    async def run(self, command: Callable[[Redis], Awaitable[T]]) -> T:
        """Runs a command.

        Raises:
            StoreUnavailable: Redis is down, slow, or refuses the command.
        """
        return await self._breaker.call(lambda: command(self._client))

    async def script(self, text: str, keys: list[str], *args: Any) -> Any:
        """Runs a Lua script, which Redis does as one step.

        Raises:
            StoreUnavailable: As :meth:`run`.
        """
        return await self.run(lambda client: client.eval(text, len(keys), *keys, *args))

    @property
    def connections(self) -> ConnectionPool:
        """For a client of its own that a library makes; what it is asked then belongs in :meth:`run` too."""
        return self._client.connection_pool

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
