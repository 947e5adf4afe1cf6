"""Downloads against real local servers: private addresses, slow, endless and lying bodies."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
import tracemalloc
import zlib
from collections.abc import Sequence

import pytest

from core.errors import BadRequest, PayloadTooLarge, ServiceError, TimedOut, Unprocessable, UpstreamError
from media.addresses import describe_url
from tests.support.fetching import METADATA, fetcher, get, names
from tests.support.http_site import dripping, ok, raw, redirect, reply, serve

pytestmark = pytest.mark.anyio


async def test_a_file() -> None:
    async with serve({"/a.wav": ok(b"sound")}) as site:
        assert await get(site.url("/a.wav?key=1#part")) == b"sound"
        head = site.requests[0]
    assert head.startswith("GET /a.wav?key=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{site.port}\r\n" in head
    assert "Accept-Encoding: identity" in head
    assert "cookie" not in head.lower()


async def test_chunked_and_unbounded_bodies() -> None:
    chunked = raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")
    until_closed = raw("HTTP/1.0 200 OK", b"hello")
    async with serve({"/chunked": chunked, "/closed": until_closed}) as site:
        assert await get(site.url("/chunked")) == b"hello"
        assert await get(site.url("/closed")) == b"hello"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not a url",
        "file:///etc/passwd",
        "ftp://example.com/a",
        "gopher://example.com/",
        "data:audio/wav;base64,AAAA",
        "//example.com/a",
        "/etc/passwd",
        "http://",
        "http:///a",
        "http://user:secret@example.com/",
        "http://user@example.com/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://[::1/",
        "http://exa mple.com/",
        "http://example.com/" + "a" * 9000,
        "http://\x00/",
        "http://１２７.０.０.１/",
        "http://①②⑦.0.0.1/",
    ],
)
async def test_refused_urls(url: str) -> None:
    with pytest.raises(BadRequest):
        await get(url, resolver=names())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "0",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "127。0。0。1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
    ],
)
async def test_the_server_next_door_is_out_of_reach(host: str) -> None:
    async with serve({"/": ok(b"secret")}) as site:
        with pytest.raises(BadRequest):
            await get(f"http://{host}:{site.port}/", allow=())
    assert site.requests == []


@pytest.mark.parametrize("found", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1", "fd00::1", "169.254.169.254"])
@pytest.mark.parametrize("beside", [[], ["8.8.8.8"], ["8.8.8.8", "1.1.1.1"]])
async def test_names_with_a_private_address(found: str, beside: list[str]) -> None:
    async with serve({"/": ok(b"secret")}) as site:
        with pytest.raises(BadRequest, match="not a public address"):
            await get(site.url("/", "trap.example"), allow=(), resolver=names(trap_example=[*beside, found]))
    assert site.requests == []


async def test_the_address_that_was_checked_is_the_one_that_is_reached() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    async with serve({"/": ok(b"first")}) as site:
        download = await get(site.url("/", "rebind.example"), resolver=rebinding)
        assert download == b"first"
        assert f"Host: rebind.example:{site.port}\r\n" in site.requests[0]
    assert len(answers) == 1  # asked once


async def test_allowed_by_name_and_by_network() -> None:
    async with serve({"/": ok(b"x")}) as site:
        for allow in (("media.internal",), ("127.0.0.0/8",)):
            download = await get(
                site.url("/", "media.internal"), allow=allow, resolver=names(media_internal="127.0.0.1")
            )
            assert download == b"x"


async def test_next_address_when_the_first_is_dead() -> None:
    async with serve({"/": ok(b"x")}) as site:
        both = names(two_example=["127.0.0.9", "127.0.0.1"])  # nothing listens on the first
        assert await get(site.url("/", "two.example"), allow=("127.0.0.0/8",), resolver=both) == b"x"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 500, 503])
async def test_errors_of_the_other_server(status: int) -> None:
    async with serve({"/": reply(status, b"secret words")}) as site:
        with pytest.raises(UpstreamError, match=str(status)) as caught:
            await get(site.url("/"))
    assert "secret" not in caught.value.message


async def test_no_server_there() -> None:
    async with serve({}) as site:
        url = site.url("/")
    with pytest.raises(UpstreamError):
        await get(url)


async def test_unknown_name() -> None:
    with pytest.raises(UpstreamError, match="resolved"):
        await get("http://unknown.example/", resolver=names())
    with pytest.raises(UpstreamError, match="resolved"):
        await get("http://empty.example/", resolver=names(empty_example=[]))


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"",
        raw("HTTP/1.1 200 OK\nContent-Length: 100", b"short"),
        raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"zz\r\n"),
        raw("HTTP/1.1 200 OK\nContent-Length: -5", b"hello"),
        raw("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6", b"hello"),
        raw("HTTP/1.1 200 OK\nX-Long: " + "a" * 200_000, b"hello"),
    ],
    ids=range(7),
)
async def test_broken_answers(answer: bytes) -> None:
    async with serve({"/": answer}) as site:
        with pytest.raises(UpstreamError):
            await get(site.url("/"))


async def test_more_bytes_than_stated_are_not_read() -> None:
    async with serve({"/": raw("HTTP/1.1 200 OK\nContent-Length: 5", b"hello" + b"x" * 1000)}) as site:
        assert await get(site.url("/")) == b"hello"


async def test_stated_size_too_large_is_refused_before_reading() -> None:
    async def stall(writer: asyncio.StreamWriter) -> None:
        writer.write(raw("HTTP/1.1 200 OK\nContent-Length: 100001"))
        await asyncio.sleep(30)

    async with serve({"/": stall}) as site:
        with pytest.raises(PayloadTooLarge, match="100000 bytes"):
            await get(site.url("/"), timeout_s=10.0)


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\nTransfer-Encoding: chunked", "HTTP/1.0 200 OK"])
async def test_endless_bodies(head: str) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(raw(head))
        block = b"x" * 4096
        while sent < 100_000:
            sent += 1
            writer.write(b"1000\r\n" + block + b"\r\n" if "chunked" in head else block)
            await writer.drain()

    async with serve({"/": endless}) as site:
        with pytest.raises(PayloadTooLarge):
            await get(site.url("/"))
    assert sent < 10_000  # nowhere near the end: the connection was closed


async def test_silent_server() -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with serve({"/": silent}) as site:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            await get(site.url("/"), idle_s=0.2)
    assert time.monotonic() - started < 10


async def test_drop_by_drop() -> None:
    async with serve({"/": dripping(1000, b"x", 0.05)}) as site:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            await get(site.url("/"), idle_s=5.0, timeout_s=0.5)
    assert time.monotonic() - started < 10


async def test_slow_name_server() -> None:
    async def stuck(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(30)
        return []

    with pytest.raises(TimedOut):
        await get("http://slow.example/", resolver=stuck, timeout_s=0.2)


@pytest.mark.parametrize("encoding", ["utf-8", "aws-chunked", "identity", "", "UTF8, aws-chunked", "gzip", "binary"])
async def test_a_file_is_not_compressed_because_its_server_has_a_word_for_it(encoding: str) -> None:
    """Object stores send what was stored with it, be it wrong."""
    async with serve({"/": ok(b"fLaC", f"Content-Encoding: {encoding}")}) as site:
        assert await get(site.url("/")) == b"fLaC"


SOUND = bytes(range(256)) * 100
GZIP = gzip.compress(SOUND, mtime=0)  # the names of tests must not hold the time
GZIP_TWICE = gzip.compress(GZIP, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", GZIP), ("x-gzip", GZIP), ("deflate", zlib.compress(SOUND)),
     ("aws-chunked, gzip", GZIP), ("GZip", GZIP)],
)  # fmt: skip
async def test_a_compressed_file_is_decompressed(encoding: str, body: bytes) -> None:
    async with serve({"/": ok(body, f"Content-Encoding: {encoding}")}) as site:
        assert await get(site.url("/"), max_bytes=len(SOUND)) == SOUND
        with pytest.raises(PayloadTooLarge, match="larger"):
            await get(site.url("/"), max_bytes=len(SOUND) - 1)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"\x1f\x8b"), ("gzip, gzip", GZIP_TWICE), ("deflate", b"no deflate"),
     ("gzip", GZIP[:-20]), ("gzip", GZIP * 2),
     ("gzip", b"\x1f\x8b no gzip"), ("zstd", b"x")],
)  # fmt: skip
async def test_a_compression_that_cannot_be_undone(encoding: str, body: bytes) -> None:
    async with serve({"/": ok(body, f"Content-Encoding: {encoding}")}) as site:
        with pytest.raises(UpstreamError, match="compress"):
            await get(site.url("/"))


async def test_a_bomb_is_not_decompressed() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    async with serve({"/": ok(bomb, "Content-Encoding: gzip")}) as site:
        tracemalloc.start()
        try:
            with pytest.raises(PayloadTooLarge, match="larger"):
                await get(site.url("/"), max_bytes=1 << 20)
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()


async def test_empty_file() -> None:
    async with serve({"/": ok(b""), "/204": reply(204)}) as site:
        for path in ("/", "/204"):
            with pytest.raises(Unprocessable):
                await get(site.url(path))


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve({"/": ok(b"direct")}) as site, serve({}) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await get(site.url("/")) == b"direct"
    assert proxy.requests == []


async def test_cookies_are_not_kept() -> None:
    async with serve({"/": ok(b"x", "Set-Cookie: a=b")}) as site, fetcher() as one:
        await one.fetch(site.url("/"))
        await one.fetch(site.url("/"))
    assert ["cookie" in head.lower() for head in site.requests] == [False, False]


async def test_many_at_once() -> None:
    async with serve({"/": ok(b"x" * 1000)}) as site, fetcher() as one:
        downloads = await asyncio.gather(*(one.fetch(site.url("/")) for _ in range(50)))
    assert {len(download) for download in downloads} == {1000}


async def test_secrets_stay_out_of_logs_and_messages(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serve({"/": reply(500), "/loop": redirect("/loop?token=s3cret")}) as site:
        urls = [
            site.url("/?token=s3cret"),
            site.url("/loop?token=s3cret"),
            "http://u:s3cret@h.example/",
            METADATA + "s3cret",
        ]
        for url in urls:
            with pytest.raises(ServiceError) as caught:
                await get(url)
            assert "s3cret" not in caught.value.message
            assert "s3cret" not in describe_url(url)
    assert "s3cret" not in caplog.text


def test_what_a_log_may_say() -> None:
    assert describe_url("https://u:p@Example.com:8443/path?q#f") == "https://example.com:8443"
    assert describe_url("http://host:port/") == "(not a URL)"
