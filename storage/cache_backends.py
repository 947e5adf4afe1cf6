"""Where results and leases of the cache are kept: Redis, or one SQLite file that all processes of a machine share."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from core.settings import LONGEST_TTL_S
from storage.redis_client import PREFIX, REST_S, CircuitBreaker, RedisClient

T = TypeVar("T")

MAX_VALUE_BYTES = 16 << 10  # a result has some 200; what is longer is none, and is not read whole
LONGEST_LEASE_S = 60.0  # a longer one, or one without end, was not made by this code and is ignored
MAX_TOKEN_BYTES = 64  # of the name of a lease's holder; ours have 16
MAX_ROWS = 10_000  # results of a few hundred bytes: some megabytes of disk
BUSY_S = 2.0  # how long another process may hold the write lock, which it does for a millisecond
CALL_TIMEOUT_S = 5.0  # for the disk


class CacheStore(Protocol):
    """Where results and leases are kept. Every method raises StoreUnavailable when it cannot do its work."""

    async def get(self, key: str) -> bytes | None:
        """Gives the value, or None when there is none or its time has passed.

        What is there and not bytes, or more than ``MAX_VALUE_BYTES``, is given as empty: this bundle keeps no such.
        """

    async def delete(self, key: str) -> None:
        """Deletes a value, whatever it is."""

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keeps a value for a time (seconds)."""

    async def acquire(self, key: str, token: str, lease_s: float) -> str:
        """Takes the lease if it is free, renews it if the token holds it, and gives the token that holds it now."""

    async def release(self, key: str, token: str) -> None:
        """Gives the lease up, if the token has it."""

    async def aclose(self) -> None:
        """Closes the store."""


class RedisStore:
    """Results and leases in Redis, which forgets both by itself."""

    # Each is one step: a lease that expired in between and is held by another process must not be touched.
    _GET = """
        local kind = redis.call('TYPE', KEYS[1])['ok']
        if kind == 'none' then return false end
        if kind ~= 'string' or redis.call('STRLEN', KEYS[1]) > tonumber(ARGV[1]) then return '' end
        return redis.call('GET', KEYS[1])
    """
    _ACQUIRE = """
        if redis.call('TYPE', KEYS[1])['ok'] == 'string' and redis.call('STRLEN', KEYS[1]) <= tonumber(ARGV[4]) then
            local holder, left = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])
            if holder ~= ARGV[1] and left >= 0 and left <= tonumber(ARGV[3]) then return holder end
        end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return ARGV[1]
    """
    _RELEASE = "if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

    def __init__(self, link: RedisClient) -> None:
        """Takes the connection, which it does not own."""
        self._link = link

    async def get(self, key: str) -> bytes | None:
        """As the protocol."""
        value = await self._link.script(self._GET, [f"{PREFIX}:cache:{key}"], MAX_VALUE_BYTES)
        return value.encode() if isinstance(value, str) else value

    async def delete(self, key: str) -> None:
        """As the protocol."""
        await self._link.run(lambda client: client.delete(f"{PREFIX}:cache:{key}"))

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """As the protocol."""
        milliseconds = max(1, round(ttl_s * 1000))
        await self._link.run(lambda client: client.set(f"{PREFIX}:cache:{key}", value, px=milliseconds))

    async def acquire(self, key: str, token: str, lease_s: float) -> str:
        """As the protocol."""
        bounds = round(lease_s * 1000), round(LONGEST_LEASE_S * 1000), MAX_TOKEN_BYTES
        holder = await self._link.script(self._ACQUIRE, [f"{PREFIX}:lease:{key}"], token, *bounds)
        return _text(holder)

    async def release(self, key: str, token: str) -> None:
        """As the protocol."""
        await self._link.script(self._RELEASE, [f"{PREFIX}:lease:{key}"], token)

    async def aclose(self) -> None:
        """Closes nothing: the client is shared, and closed by its owner."""


# The last is SQLite's error for statements that do not fit the tables of the file, which are another program's then.
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
# SQLite keeps values of any type in a column. A text would never expire, since SQLite sorts it above every number.
_RUNS = "typeof(expires) = 'real' AND expires > :now AND expires <= :now + :longest"
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires REAL NOT NULL);
    CREATE INDEX IF NOT EXISTS results_by_age ON results (expires);
    CREATE TABLE IF NOT EXISTS leases (key TEXT PRIMARY KEY, token TEXT NOT NULL, expires REAL NOT NULL);
"""


class SqliteStore:
    """Results and leases in one SQLite file in write-ahead mode, read and written in a thread of its own.

    A file that is damaged is thrown away: it is a cache.
    """

    def __init__(self, path: Path, *, max_rows: int = MAX_ROWS, rest_s: float = REST_S) -> None:
        """Takes the file's path; it is opened, and made, at the first call.

        Args:
            path: The file; its folder is made too.
            max_rows: Most results; above it those that would expire first go.
            rest_s: How long a file that failed is left alone (seconds).
        """
        self._path = path
        self._max_rows = max_rows
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._breaker = CircuitBreaker(
            f"embedded cache {path}", (sqlite3.Error, OSError), timeout_s=CALL_TIMEOUT_S, rest_s=rest_s
        )

    async def get(self, key: str) -> bytes | None:
        """As the protocol."""
        value = "CASE WHEN typeof(value) = 'blob' AND length(value) <= :size THEN value ELSE x'' END"
        query = f"SELECT {value} FROM results WHERE key = :key AND {_RUNS}"  # noqa: S608 - constants
        values = {"key": key, "size": MAX_VALUE_BYTES, "now": time.time(), "longest": LONGEST_TTL_S}
        row = await self._run(lambda db: db.execute(query, values).fetchone())
        return None if row is None else row[0]

    async def delete(self, key: str) -> None:
        """As the protocol."""
        await self._run(lambda db: db.execute("DELETE FROM results WHERE key = ?", (key,)))

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """As the protocol."""
        await self._run(lambda db: self._set(db, key, value, ttl_s))

    async def acquire(self, key: str, token: str, lease_s: float) -> str:
        """As the protocol."""
        return await self._run(lambda db: _acquire(db, key, token, lease_s))

    async def release(self, key: str, token: str) -> None:
        """As the protocol."""
        await self._run(lambda db: db.execute("DELETE FROM leases WHERE key = ? AND token = ?", (key, token)))

    async def aclose(self) -> None:
        """Closes the file."""
        with contextlib.suppress(RuntimeError):
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, action: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await self._breaker.call(lambda: loop.run_in_executor(self._thread, self._with_database, action))

    def _with_database(self, action: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return action(self._open())
        except sqlite3.Error as error:
            self._close()  # opened anew next time
            if getattr(error, "sqlite_errorcode", None) not in _DAMAGE:
                raise
            self._discard()
            return action(self._open())

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            self._connection = database
            _prepare(database)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _set(self, db: sqlite3.Connection, key: str, value: bytes, ttl_s: float) -> None:
        now = time.time()
        with _transaction(db):
            _forget(db, "results", now, LONGEST_TTL_S)
            db.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (key, value, now + ttl_s))
            (rows,) = db.execute("SELECT count(*) FROM results").fetchone()
            if rows > self._max_rows:
                oldest = "SELECT key FROM results ORDER BY expires LIMIT ?"
                db.execute(f"DELETE FROM results WHERE key IN ({oldest})", (rows - self._max_rows,))  # noqa: S608


def _prepare(db: sqlite3.Connection) -> None:
    """Sets a connection up, and makes the tables.

    Of processes that turn write-ahead mode on at the same moment all but one are refused at once, whatever the time
    that connections wait for a lock: they try again.
    """
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # after a power cut the last results may be gone: a cache
            db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # On a full disk SQLite has rolled back by itself. Its refusal to do so again would look like a damaged file.
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _acquire(db: sqlite3.Connection, key: str, token: str, lease_s: float) -> str:
    now = time.time()
    with _transaction(db):
        _forget(db, "leases", now, LONGEST_LEASE_S)
        db.execute("INSERT OR IGNORE INTO leases VALUES (?, ?, ?)", (key, token, now + lease_s))
        db.execute("UPDATE leases SET expires = ? WHERE key = ? AND token = ?", (now + lease_s, key, token))
        query = "SELECT substr(CAST(token AS BLOB), 1, ?) FROM leases WHERE key = ?"
        (holder,) = db.execute(query, (MAX_TOKEN_BYTES, key)).fetchone()
    return _text(holder)


def _forget(db: sqlite3.Connection, table: str, now: float, longest_s: float) -> None:
    """Deletes what has expired, and what no process of this bundle can have kept for so long."""
    db.execute(f"DELETE FROM {table} WHERE NOT ({_RUNS})", {"now": now, "longest": longest_s})  # noqa: S608 - constants


def _text(token: bytes | str) -> str:
    """The name of a lease's holder, which others may have written in any bytes."""
    return token.decode(errors="replace") if isinstance(token, bytes) else token
