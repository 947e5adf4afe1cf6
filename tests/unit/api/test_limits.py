"""Around every request: size, time, and callers who leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware import limits
from api.middleware.limits import Limits
from core.errors import BadRequest
from core.memory import Budget

pytestmark = pytest.mark.anyio


class Connection:
    """A caller: sends the given chunks, of a whole body or of a part, then waits or leaves."""

    def __init__(self, *chunks: bytes, leaves: bool = False, length: str | None = None, whole: bool = True) -> None:
        self.scope: Scope = {"type": "http", "path": "/", "headers": []}
        if length is not None:
            self.scope["headers"] = [(b"content-length", length.encode())]
        elif chunks not in ((), (b"",)):
            self.scope["headers"] = [(b"transfer-encoding", b"chunked")]
        self._left: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": not whole or index < len(chunks) - 1}
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
    def is_closed(self) -> bool:
        """Whether the answer ends the connection."""
        start = next(m for m in self.sent if m["type"] == "http.response.start")
        return (b"connection", b"close") in start["headers"]

    @property
    def is_ended(self) -> bool:
        """Whether the answer is complete, with nothing after its end."""
        return [m.get("more_body", False) for m in self.sent[1:]] == [True] * (len(self.sent) - 2) + [False]

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
    bounded = Limits(app, **{"max_body_bytes": 10, "timeout_s": 30.0, "budget": Budget(1 << 30), **options})
    async with asyncio.timeout(4):
        await bounded(connection.scope, connection.receive, connection.send)


@pytest.mark.parametrize("chunks", [(b"",), (b"0123456789",), (b"01234", b"56789")])
async def test_a_body_within_the_limit(chunks: tuple[bytes, ...]) -> None:
    connection = Connection(*chunks)
    await run(connection)
    assert connection.status == 200
    assert connection.sent[1]["body"] == str(sum(map(len, chunks))).encode()


async def test_it_is_over_before_the_next_request_can_begin() -> None:
    """Metrics are counted when it is over. The server needs three turns of the loop to begin a request."""
    connection = Connection(b"0")
    later: list[str] = []

    async def reading_at_once(scope: Scope, receive: Receive, send: Send) -> None:
        await reading(scope, receive, send)
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, loop.call_soon, later.append, "next")

    await run(connection, reading_at_once)
    assert connection.is_ended
    assert not later


@pytest.mark.parametrize(
    "chunks", [(b"0" * 11,), (b"0" * 6, b"0" * 6), (b"0" * 11, b"0", b""), (b"0" * 11, b"0" * 5, b"")]
)
async def test_a_body_above_the_limit_is_answered_at_once(chunks: tuple[bytes, ...]) -> None:
    connection = Connection(*chunks)
    await run(connection)
    assert connection.status == 413
    assert connection.read == len(chunks)  # most callers look for an answer only after they have sent everything
    assert connection.is_ended


@pytest.mark.parametrize("hides_it", [False, True], ids=["told", "hidden by the application"])
async def test_a_body_beyond_what_may_be_in_hand(hides_it: bool) -> None:
    budget = Budget(8)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await reading(scope, receive, send)
        except Exception:
            if not hides_it:
                raise
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"bad form"})

    connection = Connection(b"0" * 6, b"0" * 4)
    await run(connection, app, budget=budget)
    assert connection.status == 503
    assert any(name == b"retry-after" and int(value) >= 1 for name, value in connection.sent[0]["headers"])
    assert budget.used == 0
    fits = Connection(b"0" * 6, b"0" * 2)
    await run(fits, app, budget=budget)
    assert (fits.status, budget.used) == (200, 0)


async def test_what_others_have_in_hand_counts() -> None:
    budget = Budget(8)
    waiting = asyncio.create_task(run(Connection(b"0" * 6, whole=False), budget=budget))
    await asyncio.sleep(0)
    while not budget.used:  # noqa: ASYNC110 - the budget has no event
        await asyncio.sleep(0)
    refused = Connection(b"0" * 6)
    await run(refused, budget=budget)
    assert refused.status == 503
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    admitted = Connection(b"0" * 6)
    await run(admitted, budget=budget)
    assert (admitted.status, budget.used) == (200, 0)


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
    assert connection.is_closed  # or the server would go on reading


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
    assert (connection.status, connection.is_ended) == (499, True)  # which BentoML's timeout waits for


async def test_a_caller_who_leaves_in_the_middle_of_the_body_ends_the_work() -> None:
    """The reader is not told, since frameworks make a failure of it."""
    told = []

    async def told_of_it(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        told.append(await receive())

    connection = Connection(b"012", leaves=True, whole=False)
    await run(connection, told_of_it)
    assert told == []
    assert (connection.status, connection.is_ended) == (499, True)


async def test_a_caller_who_leaves_in_the_middle_of_the_answer_gets_no_second_one() -> None:
    async def working(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(3600)

    connection = Connection(b"", leaves=True)
    await run(connection, working)
    assert [message["type"] for message in connection.sent] == ["http.response.start"]


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that does not look at the body."""
    await send({"type": "http.response.start", "status": 403, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


@pytest.mark.parametrize(
    ("chunks", "whole", "read"),
    [((b"0" * 5, b"0" * 5, b""), True, 3), ((b"0" * 10,) * 100, True, 3), ((b"0",), False, 1)],
    ids=["it ends", "it goes on and on", "it stalls"],
)
async def test_a_body_that_is_not_read(
    monkeypatch: pytest.MonkeyPatch, chunks: tuple[bytes, ...], whole: bool, read: int
) -> None:
    """It is answered before it is read, and read no further than the bounds."""
    monkeypatch.setattr(limits, "DRAIN_S", 0.05)
    connection = Connection(*chunks, whole=whole)
    await run(connection, refusing, timeout_s=0.02)  # to wait for the rest is not to wait for the answer
    assert (connection.status, connection.is_closed, connection.is_ended) == (403, True, True)
    assert connection.sent[1] == {"type": "http.response.body", "body": b"no", "more_body": True}
    assert connection.read == read


async def test_without_a_body_the_connection_stays_open() -> None:
    connection = Connection()
    await run(connection, refusing)
    assert (connection.status, connection.is_closed, connection.is_ended) == (403, False, True)


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


async def test_an_answer_that_is_broken_off_leaves_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Its status was sent before, so that the access log calls it a good one."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(3600)

    await run(Connection(b""), slow, timeout_s=0.05)
    assert [(record.message, record.why) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("an answer was broken off", "TimedOut")
    ]


async def test_other_events_pass() -> None:
    passed = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["type"])

    connection = Connection()
    connection.scope["type"] = "lifespan"
    await run(connection, app)
    assert passed == ["lifespan"]


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_stream_that_fails_before_its_first_message_is_refused(accepted: bool) -> None:
    """Without an answer it waited for BentoML's timeout, and held up the end of the server."""

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        if accepted:
            await send({"type": "websocket.accept"})
        raise BadRequest("no")

    connection = Connection()
    connection.scope["type"] = "websocket"
    if accepted:
        with pytest.raises(BadRequest):
            await run(connection, failing)
        assert len(connection.sent) == 1
    else:
        await run(connection, failing)
        assert [message["type"] for message in connection.sent] == [
            "websocket.http.response.start", "websocket.http.response.body",
        ]  # fmt: skip
        assert (connection.sent[0]["status"], connection.message) == (400, "no")
