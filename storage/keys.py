"""The keys of callers: who may ask which questions, and how much. Kept in a file, or in a Redis that servers share.

A key is 32 random bytes, of which only the SHA-256 hash is kept. A slow hash such as scrypt makes it costly to try
passwords that people choose; of 2^256 equally likely keys none can be found by trying, and each request has to be
hashed once. The hash is also what is looked up, so that the time of a look-up says nothing about a key.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import Unavailable
from core.files import replace_file
from core.settings import IN_REDIS
from storage.redis_client import PREFIX, RedisClient, StoreUnavailable

log = logging.getLogger("bundle.keys")

REDIS_KEY = f"{PREFIX}:keys"  # a hash: name to key, in JSON
KEY_PREFIX = "mck_"  # by which secret scanners and people recognise a key
KEY_BYTES = 32
NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
REFRESH_S = 2.0  # after which a new or revoked key is known to every process
RETRY_AFTER_S = 5.0


class CallerKey(BaseModel):
    """One key.

    Attributes:
        name: Of the caller; unique.
        sha256: Hash of the key, in hexadecimal digits.
        questions: What may be asked; everything where it is empty.
        requests_per_minute: Most requests; any number where it is None.
        bytes_per_day: Most bytes of request bodies; any number where it is None.
        created: Day on which it was made (ISO 8601).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    questions: tuple[str, ...] = ()
    requests_per_minute: int | None = Field(None, ge=1, le=10**9)
    bytes_per_day: int | None = Field(None, ge=1, le=10**15)
    created: str = ""


class KeyStore(Protocol):
    """Where keys are kept."""

    async def load(self) -> Sequence[CallerKey]:
        """All keys; raises StoreUnavailable or OSError."""

    async def add(self, key: CallerKey) -> bool:
        """Keeps a key; False where the name is taken."""

    async def remove(self, name: str) -> bool:
        """Forgets a key; False where there is none of this name."""


KEYS = TypeAdapter(list[CallerKey])


class KeyFile:
    """A JSON file that its owner alone can read."""

    def __init__(self, path: Path) -> None:
        """Takes its place; a file that is not there holds no keys."""
        self._path = path

    async def load(self) -> list[CallerKey]:
        """Reads the file.

        Raises:
            OSError: It cannot be read.
            ValueError: It does not hold keys.
        """
        return self._read()

    async def add(self, key: CallerKey) -> bool:
        """Adds a key."""
        with self._alone():
            keys = self._read()
            if any(known.name == key.name for known in keys):
                return False
            self._write([*keys, key])
            return True

    async def remove(self, name: str) -> bool:
        """Removes a key."""
        with self._alone():
            keys = self._read()
            left = [key for key in keys if key.name != name]
            if len(left) < len(keys):
                self._write(left)
            return len(left) < len(keys)

    def _read(self) -> list[CallerKey]:
        try:
            return KEYS.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = "".join(f"{part}: " for part in first["loc"])
            raise ValueError(f"{self._path} does not hold keys: {where}{first['msg']}") from None

    def _write(self, keys: list[CallerKey]) -> None:
        replace_file(self._path, KEYS.dump_json(keys, indent=2) + b"\n", mode=0o600)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once would otherwise lose a key."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f".{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class KeysInRedis:
    """A hash in Redis."""

    def __init__(self, client: RedisClient) -> None:
        """Takes the connection."""
        self._client = client

    async def load(self) -> list[CallerKey]:
        """Reads the keys; an entry that is none is passed over.

        Raises:
            StoreUnavailable: Redis is down.
        """
        found = await self._client.run(lambda redis: redis.hvals(REDIS_KEY))
        keys = []
        for text in found:
            try:
                keys.append(CallerKey.model_validate_json(text))
            except ValidationError:
                log.warning("an entry of the keys in Redis is not a key")
        return keys

    async def add(self, key: CallerKey) -> bool:
        """Adds a key."""
        return bool(await self._client.run(lambda redis: redis.hsetnx(REDIS_KEY, key.name, key.model_dump_json())))

    async def remove(self, name: str) -> bool:
        """Removes a key."""
        return bool(await self._client.run(lambda redis: redis.hdel(REDIS_KEY, name)))


def open_keys(place: str, redis: RedisClient | None) -> KeyStore:
    """The store that a setting names.

    Args:
        place: ``redis``, or the path of a file.
        redis: The connection, where there is one.

    Raises:
        ValueError: The keys are to be in Redis, and there is none.
    """
    if place != IN_REDIS:
        return KeyFile(Path(place))
    if redis is None:
        raise ValueError("keys in Redis need its address, REDIS_URL")
    return KeysInRedis(redis)


def make_key() -> tuple[str, str]:
    """A new key, and the hash that is kept of it."""
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, hash_key(key)


def hash_key(key: str) -> str:
    """What is kept of a key: its SHA-256 hash in hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


class KnownKeys:
    """The keys in the memory of a process, read again every ``REFRESH_S``."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes the store; reads it at the first request."""
        self._store = store
        self._clock = clock
        self._by_hash: dict[str, CallerKey] | None = None
        self._fresh_until = 0.0

    async def find(self, key: str) -> CallerKey | None:
        """Looks a key up.

        Raises:
            Unavailable: The keys have never been read. Once they were, the last ones hold while the store is down.
        """
        if (known := await self._known()) is None:
            raise Unavailable("the keys of callers cannot be read, try again later", retry_after=RETRY_AFTER_S)
        return known.get(hash_key(key)) if key else None

    async def have_been_read(self) -> bool:
        """Whether a key can be looked up."""
        return await self._known() is not None

    async def _known(self) -> dict[str, CallerKey] | None:
        """The keys by their hashes; None where they have never been read."""
        if self._by_hash is None or self._clock() >= self._fresh_until:
            self._fresh_until = self._clock() + REFRESH_S  # the others go on with what is known meanwhile
            await self._refresh()
        return self._by_hash

    async def _refresh(self) -> None:
        try:
            self._by_hash = {key.sha256: key for key in await self._store.load()}
        except (StoreUnavailable, OSError, ValueError) as error:
            log.error("the keys of callers cannot be read", extra={"why": str(error) or type(error).__name__})
