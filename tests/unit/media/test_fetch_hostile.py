"""Downloads from servers that send next to nothing in as many pieces as they can, for as long as they are read."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from core.errors import TimedOut, UpstreamError
from media import fetch
from tests.support.fetching import fetcher, get
from tests.support.http_site import Handler, dripping, ok, raw, serve

pytestmark = pytest.mark.anyio

CHUNKED = raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked")
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

# What is sent first, what is sent again and again.
ENDLESS = {
    "chunks of one byte": (CHUNKED, b"1\r\nA\r\n"),
    "chunks of one byte with an extension": (CHUNKED, b"1;" + b"x" * 1000 + b"\r\nA\r\n"),
    "interim responses": (b"", EARLY),
    "a line of a head": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
    "lines of a head": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"X: y\r\n"),
    "zeros of a length": (CHUNKED, b"0" * 1000),
}


def again_and_again(first: bytes, piece: bytes, sent: list[int]) -> Handler:
    """Sends up to 40 MB, in blocks, as fast as they are read."""
    block = piece * (1 + 65_536 // len(piece))

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        for _ in range(600):
            writer.write(block)
            await writer.drain()
            sent.append(len(block))

    return send


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_is_mostly_not_body_is_given_up_at_once(name: str) -> None:
    sent: list[int] = []
    async with serve({"/": again_and_again(*ENDLESS[name], sent)}) as site:
        with pytest.raises(UpstreamError):
            await get(site.url("/"), timeout_s=60.0)
    assert sum(sent) < 20_000_000  # what the buffers of the two kernels hold beside the bound


async def test_a_few_interim_responses_and_small_chunks_are_usual() -> None:
    chunks = b"".join(b"14\r\n" + bytes(20) + b"\r\n" for _ in range(4000)) + b"0\r\nX: trailer\r\n\r\n"
    async with serve({"/": 3 * EARLY + CHUNKED + chunks}) as site:
        assert await get(site.url("/")) == bytes(80_000)


async def test_a_switch_of_protocols_is_no_answer() -> None:
    switch = raw("HTTP/1.1 101 Switching\nUpgrade: websocket\nConnection: upgrade", b"hello")
    async with serve({"/": switch}) as site:
        with pytest.raises(UpstreamError):
            await get(site.url("/"))


async def test_less_than_the_least_throughput() -> None:
    """A byte now and then is never idle for long; it is given up long before the time limit."""
    async with serve({"/": dripping(90_000, b"x", 0.02)}) as site:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            await get(site.url("/"), idle_s=0.5, timeout_s=120.0)
    assert time.monotonic() - started < 60


async def test_a_slow_but_honest_server_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "LEAST_BYTES_PER_S", 50.0)
    async with serve({"/": dripping(1000, bytes(100), 0.1)}) as site:
        assert await get(site.url("/"), idle_s=0.5) == bytes(1000)


async def test_downloads_run_beside_the_loop_that_asks_for_them() -> None:
    where: list[threading.Thread] = []

    async def find(host: str, port: int) -> Sequence[str]:
        where.append(threading.current_thread())
        return ["127.0.0.1"]

    async with serve({"/": ok(b"x")}) as site, fetcher(resolver=find) as one:
        for _ in range(2):
            await one.fetch(site.url("/", "media.example"))
    assert where[0] is where[1]
    assert where[0] is not threading.current_thread()
    assert not where[0].is_alive()  # it ended with the fetcher


async def test_who_gives_up_ends_the_download() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        begun.set()
        writer.write(raw("HTTP/1.1 200 OK\nContent-Length: 90000"))
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with serve({"/": endless}) as site, fetcher() as one:
        asking = asyncio.ensure_future(one.fetch(site.url("/")))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(10):
            await ended.wait()
