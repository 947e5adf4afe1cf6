"""Bodies that a client compressed: read without their compression, within the limit, and damaged ones refused."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from api.middleware.inflate import PIECE, Inflated
from api.middleware.limits import Limits
from core.memory import Budget
from media.encodings import GZIP

LIMIT = 4 * PIECE
SOUND = bytes(range(256)) * 40


class Reader:
    """An application that keeps what it reads, and the head that it was given."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers, more = scope["headers"], True
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def sent(chunks: list[bytes], coding: str = "gzip", budget: int = 1 << 30) -> tuple[int, Reader]:
    """Sends a body in chunks; gives the status of the answer, and what was read."""
    head = [(b"content-encoding", coding.encode()), (b"content-length", b"%d" % sum(map(len, chunks)))]
    left = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    left[-1]["more_body"] = False
    reader, statuses = Reader(), []

    async def receive() -> Message:
        return left.pop(0) if left else await asyncio.sleep(3600, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))

    async def run() -> None:
        app = Limits(reader, max_body_bytes=LIMIT, timeout_s=30.0, budget=Budget(budget))
        async with asyncio.timeout(20):
            await app({"type": "http", "path": "/", "headers": head}, receive, send)

    asyncio.run(run())
    return int(statuses[0] or 0), reader


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)] or [b""]


@settings(deadline=None, max_examples=40)
@given(
    st.binary(max_size=300),
    st.integers(1, 3000),
    st.integers(1, 70),
    st.integers(0, 9),
    st.sampled_from(["gzip", "deflate"]),
)
def test_what_arrives_is_what_was_compressed(unit: bytes, repeats: int, size: int, level: int, coding: str) -> None:
    plain = (unit * repeats)[:LIMIT]
    packed = gzip.compress(plain, level) if coding == "gzip" else zlib.compress(plain, level)
    chunks = cut(packed, max(size, len(packed) // 200))
    status, reader = sent(chunks, coding)
    assert (status, reader.body) == (200, plain)
    assert reader.headers == []


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, LIMIT])
def test_a_body_of_whole_pieces_ends_where_it_ends(size: int) -> None:
    status, reader = sent([gzip.compress(b"\0" * size)])
    assert (status, len(reader.body)) == (200, size)


@pytest.mark.parametrize("chunk", [1 << 20, 100])
def test_no_more_is_made_than_the_limit(chunk: int) -> None:
    status, reader = sent(cut(gzip.compress(b"\0" * (200 * LIMIT)), chunk))
    assert status == 413
    assert len(reader.body) <= LIMIT


@pytest.mark.anyio
async def test_what_follows_the_stream_costs_no_copies() -> None:
    """A byte now and then behind 30 MB of it held up all other requests: zlib copied all for each."""
    chunks = [PACKED, bytes(16 << 20), *[b"\0"] * 2000]
    messages = iter([{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks])

    async def receive() -> Message:
        return next(messages, {"type": "http.request", "body": b"", "more_body": False})

    body = Inflated(receive, (GZIP,), LIMIT, lambda size: None, lambda kind, words: kind(words))
    began, read = time.process_time(), [await body()]
    while read[-1]["more_body"]:
        read.append(await body())
    assert time.process_time() - began < 1
    assert b"".join(message["body"] for message in read) == SOUND


def test_what_is_made_counts_in_the_budget() -> None:
    status, reader = sent([gzip.compress(b"\0" * LIMIT)], budget=2 * PIECE)
    assert status == 503
    assert len(reader.body) <= 2 * PIECE


PACKED = gzip.compress(SOUND)


@pytest.mark.parametrize(
    "body",
    [
        PACKED[:-1],
        PACKED[:20],
        PACKED[:2],
        PACKED[:30] + b"\0" * 50 + PACKED[80:],
        PACKED + PACKED,
        PACKED[:-6] + b"\0" * 6,
    ],
    ids=["cut", "cut early", "two bytes", "damaged", "two in a row", "wrong sum"],
)
@pytest.mark.parametrize("chunk", [1 << 20, 7])
def test_a_damaged_body_is_refused(body: bytes, chunk: int) -> None:
    assert sent(cut(body, chunk))[0] == 400


@pytest.mark.parametrize("body", [SOUND, b"R", b"", b"RIFF" + SOUND])
@pytest.mark.parametrize("chunk", [1 << 20, 1])
def test_a_body_that_is_not_compressed_passes(body: bytes, chunk: int) -> None:
    status, reader = sent(cut(body[:600], chunk))
    assert (status, reader.body) == (200, body[:600])


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd", "utf-8", "aws-chunked"])
def test_others_are_left_to_the_application(coding: str) -> None:
    """It refuses a compression that is not undone, and takes a word that is none for nothing."""
    status, reader = sent([PACKED], coding)
    assert (status, reader.body) == (200, PACKED)
    assert (b"content-encoding", coding.encode()) in reader.headers
