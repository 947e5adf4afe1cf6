"""The connection to Redis (or Valkey), with short time-outs and a breaker, for the cache and the latest result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from storage.circuit_breaker import REST_S, CircuitBreaker

if TYPE_CHECKING:  # redis takes 0.25 s to import, and most installations have none
    from redis.asyncio import Redis

T = TypeVar("T")

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
        self._breaker = CircuitBreaker("redis", (RedisError, OSError, ValueError), timeout_s=timeout_s, rest_s=rest_s)

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

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
