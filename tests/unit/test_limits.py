"""Around every request: size, time, and callers who leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import Limits
from core.errors import BadRequest

pytestmark = pytest.mark.anyio


class Connection:
    """A caller: sends the given chunks, then waits or leaves."""

    def __init__(self, *chunks: bytes, leaves: bool = False, length: str | None = None) -> None:
        self.scope: Scope = {"type": "http", "path": "/", "headers": []}
        if length is not None:
            self.scope["headers"] = [(b"content-length", length.encode())]
        self._left: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]
        self._leaves = leaves
        self.read = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self._left:
            self.read += 1
            return self._left.pop(0)
        if not self._leaves:
            await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return next((m["status"] for m in self.sent if m["type"] == "http.response.start"), None)

    @property
    def message(self) -> str:
        body = b"".join(m.get("body", b"") for m in self.sent)
        return str(json.loads(body)["message"])


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads the body and answers with its length."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def run(connection: Connection, app: ASGIApp = reading, **options: Any) -> None:
    limits = Limits(app, **{"max_body_bytes": 10, "timeout_s": 30.0, **options})
    async with asyncio.timeout(4):
        await limits(connection.scope, connection.receive, connection.send)


@pytest.mark.parametrize("chunks", [(b"",), (b"0123456789",), (b"01234", b"56789")])
async def test_a_body_within_the_limit(chunks: tuple[bytes, ...]) -> None:
    connection = Connection(*chunks)
    await run(connection)
    assert connection.status == 200
    assert connection.sent[1]["body"] == str(sum(map(len, chunks))).encode()


@pytest.mark.parametrize(
    "chunks", [(b"0" * 11,), (b"0" * 6, b"0" * 6), (b"0" * 11, b"0", b""), (b"0" * 11, b"0" * 5, b"")]
)
async def test_a_body_above_the_limit_is_answered_at_once(chunks: tuple[bytes, ...]) -> None:
    connection = Connection(*chunks)
    await run(connection)
    assert connection.status == 413
    assert connection.read == len(chunks)  # most callers look for an answer only after they have sent everything


async def test_a_declared_length_above_the_limit_does_not_reach_the_application() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        pytest.fail("it was asked")

    connection = Connection(b"0" * 11, length="11")
    await run(connection, never)
    assert connection.status == 413


async def test_a_body_without_end_is_not_read_without_end() -> None:
    connection = Connection(*[b"0" * 10] * 100)
    await run(connection)
    assert connection.status == 413
    assert connection.read < 10


async def test_an_application_that_makes_another_error_of_it() -> None:
    async def careless(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
        except Exception:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"bad form"})

    connection = Connection(b"0" * 11)
    await run(connection, careless)
    assert connection.status == 413


async def test_too_slow() -> None:
    ended = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    connection = Connection(b"")
    await run(connection, slow, timeout_s=0.05)
    assert connection.status == 504
    assert "0.05 seconds" in connection.message
    assert ended.is_set()


async def test_a_caller_who_leaves_ends_the_work() -> None:
    ended = asyncio.Event()

    async def working(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    connection = Connection(b"", leaves=True)
    await run(connection, working)
    assert ended.is_set()
    assert connection.sent == []


async def test_a_failure_becomes_an_answer() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise BadRequest("words")

    connection = Connection(b"")
    await run(connection, failing)
    assert (connection.status, connection.message) == (400, "words")


async def test_a_failure_after_the_start_adds_nothing() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    connection = Connection(b"")
    await run(connection, failing)
    assert [message["type"] for message in connection.sent] == ["http.response.start"]


async def test_other_events_pass() -> None:
    passed = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["type"])

    connection = Connection()
    connection.scope["type"] = "lifespan"
    await run(connection, app)
    assert passed == ["lifespan"]
