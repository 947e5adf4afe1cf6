"""Who asks, and whether the quotas of its key have room, where the setting ``KEY_STORE`` names a store of keys."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping

from api.auth import VOICE_DETECTION, presented_key
from api.quotas import BYTES, REQUESTS, Quotas, headers
from core.errors import Forbidden, TooManyRequests
from core.settings import Settings
from storage.keys import CallerKey, KnownKeys, open_keys
from storage.redis_client import RedisClient

log = logging.getLogger("bundle.keys")

WORDS = {
    REQUESTS: "the key has made all of its {quota} requests of this minute",
    BYTES: "the key has sent too much of its {quota} bytes of this day: the body does not fit into what is left",
}


class Visit:
    """One request of a caller whose key is known.

    Attributes:
        name: Of the caller.
        headers: How the key stood with its quotas when that was last looked at.
    """

    def __init__(self, name: str, key: CallerKey | None, quotas: Quotas) -> None:
        """Takes the key; one of ``API_KEYS`` has no quotas, and is None here."""
        self.name = name
        self.headers: dict[str, str] = {}
        self._key = key
        self._quotas = quotas

    async def begin(self, declared_bytes: int) -> None:
        """Counts the request, and the body that it declares.

        Raises:
            TooManyRequests: A quota has no room for it.
        """
        if self._key is None:
            return
        await self._spend(REQUESTS, 1)
        await self._spend(BYTES, declared_bytes)
        self.headers = headers(await self._quotas.standings(self._key))

    async def use(self, size: int) -> None:
        """Counts bytes of a body that declares no length.

        Raises:
            TooManyRequests: The quota has no room for them.
        """
        if self._key is not None:
            await self._spend(BYTES, size)
            self.headers = headers(await self._quotas.standings(self._key))

    async def _spend(self, name: str, amount: int) -> None:
        assert self._key is not None  # noqa: S101 - the callers have asked
        if await self._quotas.spend(self._key, name, amount):
            return
        standings = await self._quotas.standings(self._key)
        self.headers = headers(standings)
        mine = next(one for one in standings if one.name == name)
        raise TooManyRequests(WORDS[name].format(quota=mine.quota), retry_after=mine.reset_s)


class Guard:
    """Knows keys and counts what they use; one for a process."""

    def __init__(self, settings: Settings) -> None:
        """Takes the configuration; ``key_store`` names a store."""
        url = str(settings.redis_url) if settings.redis_url else None
        self._redis = RedisClient(url) if url else None
        self._keys = KnownKeys(open_keys(settings.key_store, self._redis))
        self._quotas = Quotas(url)
        self._voice_keys = settings.keys

    async def admit(self, question: str, headers: Mapping[str, str]) -> Visit:
        """Says who asks.

        Args:
            question: What is asked.
            headers: Of the request: the key is in ``x-api-key``, or a bearer token.

        Raises:
            Forbidden: The key is missing or wrong, or does not open this question.
            Unavailable: The keys cannot be read.
        """
        given = presented_key(headers)
        if question == VOICE_DETECTION:  # what is configured for it holds beside the store
            matches = [hmac.compare_digest(given.encode(), known.encode()) for known in self._voice_keys]
            if any(matches):
                return Visit("API_KEYS", None, self._quotas)
        key = await self._keys.find(given)
        if key is None:
            raise Forbidden("Invalid API key provided")
        if key.questions and question not in key.questions:
            raise Forbidden(f"this key does not open {question}; it opens {', '.join(key.questions)}")
        log.debug("key", extra={"caller": key.name})
        return Visit(key.name, key, self._quotas)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._quotas.aclose()
        if self._redis is not None:
            await self._redis.aclose()
