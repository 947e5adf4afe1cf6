"""Callers, and servers that they name, who keep the service busy or waiting: it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_site import Handler
from tests.support.served import Bundle
from tests.support.shapes import assert_error
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served


def endless(first: bytes, piece: bytes) -> Handler:
    """Sends for as long as it is read."""
    block = piece * (1 + 65_536 // len(piece))

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(block)
            await writer.drain()

    return send


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nA\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["one-byte chunks", "interim responses"],
)
def test_five_requests_stop_no_other(bundle: Bundle, site: LocalSite, voice: bytes, first: bytes, piece: bytes) -> None:
    url = site.add("/endless", endless(first, piece))

    def ask(number: int) -> None:
        with bundle.client() as client:
            answer = client.post("/analyze-audio", json={"audio_url": f"{url}?{number}"})
        assert_error(answer, 502, "broke off")  # and not 504, after 20 s

    with ThreadPoolExecutor(5) as crowd, bundle.client(timeout=10) as client:
        asked = [crowd.submit(ask, number) for number in range(5)]
        for _ in range(5):
            assert client.get("/livez").status_code == 200
            assert client.post("/api/detect-gender", files={"audio": voice}).status_code == 200
        for future in asked:
            future.result()


def test_a_caller_who_says_nothing_is_let_go(small_bundle: Bundle) -> None:
    """``tests/unit/api/test_silent_connections.py`` has the rest, against the same protocol without the bundle."""
    with socket.create_connection(("127.0.0.1", small_bundle.port), timeout=30) as caller:
        caller.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert caller.recv(4096) == b""
