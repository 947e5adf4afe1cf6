"""Finds the caller by its key and counts what it uses, where the setting ``KEY_STORE`` names a store of keys.

Requests a minute and bytes a day of each key are counted by the package ``limits``. Windows are fixed: when one ends,
all of the quota is there again, so that ``Retry-After`` is exact. What is refused is not counted. With Redis all
processes and replicas count together; while it is down each process counts for itself.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from api.auth import INVALID, is_known, presented_key
from core.errors import Forbidden, PayloadTooLarge, TooManyRequests
from core.settings import IN_REDIS, Settings
from storage.keys import CallerKey, KnownKeys, open_keys
from storage.redis_client import PREFIX, RedisClient, StoreUnavailable
from tasks.names import AI_VOICE

T = TypeVar("T")

REQUESTS, BYTES = "requests", "bytes"


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one quota of a key.

    Attributes:
        name: ``requests`` or ``bytes``.
        quota: How much there is in a window.
        window_s: Length of the window (seconds).
        left: How much is left of it.
        reset_s: Time until all of it is there again (seconds).
    """

    name: str
    quota: int
    window_s: int
    left: int
    reset_s: int


def quota_headers(standings: list[Standing]) -> dict[str, str]:
    """``RateLimit`` and ``RateLimit-Policy`` as draft-ietf-httpapi-ratelimit-headers-10 has them.

    The draft's unit of bytes is ``content-bytes``; requests are its default.
    """
    if not standings:
        return {}
    units = {BYTES: ';qu="content-bytes"'}
    policy = (f'"{one.name}";q={one.quota};w={one.window_s}{units.get(one.name, "")}' for one in standings)
    state = (f'"{one.name}";r={one.left};t={one.reset_s}' for one in standings)
    return {"ratelimit-policy": ", ".join(policy), "ratelimit": ", ".join(state)}


class Quotas:
    """Counts what keys use."""

    def __init__(self, redis: RedisClient | None = None) -> None:
        """Takes the connection to the Redis that is shared, or None."""
        self._redis = redis
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._shared: FixedWindowRateLimiter | None = None
        if redis is not None:
            storage = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=f"{PREFIX}:quota",
                connection_pool=redis.connections,  # type: ignore[arg-type]  # it is passed on as it is
            )
            self._shared = FixedWindowRateLimiter(storage)

    async def spend(self, key: CallerKey, name: str, amount: int = 1) -> bool:
        """Counts what a request uses.

        Args:
            key: Whose.
            name: ``requests`` or ``bytes``.
            amount: How much.

        Returns:
            Whether it was there; where it was not, nothing is counted.
        """
        if (item := _items(key).get(name)) is None or amount == 0:
            return True

        async def count(limiter: FixedWindowRateLimiter) -> bool:
            if not await limiter.test(item, key.sha256, name, cost=amount):
                return False
            if await limiter.hit(item, key.sha256, name, cost=amount):
                return True
            await _take_back(limiter, item, key, name, amount)  # others were counted in between
            return False

        return await self._by(count)

    async def give_back(self, key: CallerKey, name: str, amount: int) -> None:
        """Counts less, after all; the arguments are those of ``spend``."""
        if (item := _items(key).get(name)) is not None and amount:
            await self._by(lambda limiter: _take_back(limiter, item, key, name, amount))

    async def standings(self, key: CallerKey) -> list[Standing]:
        """The state of each quota of a key."""

        async def look(limiter: FixedWindowRateLimiter) -> list[Standing]:
            found, now = [], time.time()
            for name, item in _items(key).items():
                stats = await limiter.get_window_stats(item, key.sha256, name)
                reset_s = min(item.get_expiry(), max(1, math.ceil(stats.reset_time - now)))
                found.append(Standing(name, item.amount, item.get_expiry(), stats.remaining, reset_s))
            return found

        return await self._by(look)

    async def _by(self, action: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        if self._redis is not None and (shared := self._shared) is not None:
            with contextlib.suppress(StoreUnavailable):
                return await self._redis.run(lambda _: action(shared))
        return await action(self._own)


async def _take_back(
    limiter: FixedWindowRateLimiter, item: RateLimitItem, key: CallerKey, name: str, amount: int
) -> None:
    await limiter.storage.incr(item.key_for(key.sha256, name), item.get_expiry(), amount=-amount)


def _items(key: CallerKey) -> dict[str, RateLimitItem]:
    items: dict[str, RateLimitItem] = {}
    if key.requests_per_minute is not None:
        items[REQUESTS] = RateLimitItemPerMinute(key.requests_per_minute)
    if key.bytes_per_day is not None:
        items[BYTES] = RateLimitItemPerDay(key.bytes_per_day)
    return items


log = logging.getLogger("bundle.keys")

WORDS = {
    REQUESTS: "the key has made all of its {quota} requests of this minute",
    BYTES: "the key has sent too much of its {quota} bytes of this day: the body does not fit into what is left",
}


class Visit:
    """One request of a caller whose key is known.

    Attributes:
        name: Of the caller.
        headers: The state of the key's quotas when it was last read, for the answer.
    """

    def __init__(self, name: str, key: CallerKey | None, quotas: Quotas) -> None:
        """Takes the key; one of ``API_KEYS`` has no quotas, and is None here."""
        self.name = name
        self.headers: dict[str, str] = {}
        self._key = key
        self._quotas = quotas
        self._bytes = 0

    async def begin(self, declared_bytes: int) -> None:
        """Counts the request, and the body that it declares.

        Raises:
            TooManyRequests: A quota has no room for it.
            PayloadTooLarge: The body is larger than the whole quota.
        """
        if self._key is None:
            return
        await self._spend(REQUESTS, 1)
        await self._spend(BYTES, declared_bytes, declared_bytes)
        self.headers = quota_headers(await self._quotas.standings(self._key))

    async def use(self, size: int, body: int) -> None:
        """Counts bytes of a body that declares no length.

        Args:
            size: How many.
            body: How many of the body have arrived with them; 0 for a stream, which has no end to wait for.

        Raises:
            TooManyRequests: The quota has no room for them.
            PayloadTooLarge: The body is larger than the whole quota.
        """
        if self._key is not None:
            await self._spend(BYTES, size, body)
            self.headers = quota_headers(await self._quotas.standings(self._key))

    async def give_back(self) -> None:
        """Counts no bytes, since the server had no room for the request: its caller will send them again."""
        if self._key is not None and self._bytes:
            size, self._bytes = self._bytes, 0
            await self._quotas.give_back(self._key, BYTES, size)
            self.headers = quota_headers(await self._quotas.standings(self._key))

    async def _spend(self, name: str, amount: int, body: int = 0) -> None:
        assert self._key is not None  # noqa: S101 - the callers have asked
        if await self._quotas.spend(self._key, name, amount):
            self._bytes += amount if name == BYTES else 0
            return
        standings = await self._quotas.standings(self._key)
        self.headers = quota_headers(standings)
        mine = next(one for one in standings if one.name == name)
        if body > mine.quota:  # to come back later would not help
            raise PayloadTooLarge(f"the body is larger than the {mine.quota} bytes that the key may send in a day")
        raise TooManyRequests(WORDS[name].format(quota=mine.quota), retry_after=mine.reset_s)


class Guard:
    """Knows keys and counts what they use; one for a process."""

    def __init__(self, settings: Settings) -> None:
        """Takes the configuration; ``key_store`` names a store."""
        if settings.key_store != IN_REDIS and not os.access(settings.key_store, os.F_OK):
            log.warning("KEY_STORE: there is no file %s, and so no key in it", settings.key_store)
        self._redis = RedisClient(str(settings.redis_url)) if settings.redis_url else None
        self._keys = KnownKeys(open_keys(settings.key_store, self._redis))
        self._quotas = Quotas(self._redis)
        self._voice_keys = settings.keys

    async def admit(self, question: str, headers: Mapping[str, str]) -> Visit:
        """Finds the caller.

        Args:
            question: What is asked.
            headers: Of the request: the key is in ``x-api-key``, or a bearer token.

        Raises:
            Forbidden: The key is missing or wrong, or does not open this question.
            Unavailable: The keys cannot be read.
        """
        given = presented_key(headers)
        # What is configured for voice detection holds beside the store.
        if question == AI_VOICE and is_known(given, self._voice_keys):
            return Visit("API_KEYS", None, self._quotas)
        key = await self._keys.find(given)
        if key is None:
            raise Forbidden(INVALID)
        if key.questions and question not in key.questions:
            raise Forbidden(f"this key does not open {question}; it opens {', '.join(key.questions)}")
        log.debug("key", extra={"caller": key.name})
        return Visit(key.name, key, self._quotas)

    async def is_ready(self) -> bool:
        """Whether the keys have been read; before, every question is answered with 503."""
        return await self._keys.have_been_read()

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._redis is not None:
            await self._redis.aclose()
