"""A crowd that holds large bodies still: the process stays within its memory, refuses in words, and serves again."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.support.http_site import raw
from tests.support.served import TOGETHER, Bundle, serve, wait_for
from tests.support.shapes import assert_error
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

MIB = 1 << 20
BODY = 8 * MIB - 1000
CROWD = 24  # 192 MB in all
HEAD = f"POST /upload_audio HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY + 500}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def tight(store: Path) -> Iterator[Bundle]:
    """A bundle that may have 40 MiB in hand, and answers 8 MiB at a time."""
    settings = {"MAX_BODY_MB": "8", "MEMORY_BUDGET_MB": "40", "REQUEST_TIMEOUT_S": "120", "FETCH_TIMEOUT_S": "60"}
    with serve(store, TOGETHER | settings) as running:
        yield running


def pss(bundle: Bundle) -> int:
    """Memory of the API process (bytes)."""
    (api,) = bundle.workers("MediaClassifier")
    lines = Path(f"/proc/{api}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def serves(bundle: Bundle, voice: bytes) -> bool:
    with bundle.client() as client:
        return client.post("/api/detect-gender", files={"audio": voice}).status_code == 200


def test_uploads_that_stall(tight: Bundle, voice: bytes) -> None:
    assert serves(tight, voice)
    before = pss(tight)
    crowd = []
    try:
        for _ in range(CROWD):
            crowd.append(socket.create_connection(("127.0.0.1", tight.port)))
            crowd[-1].sendall(HEAD)
            crowd[-1].setblocking(False)
        body, left = memoryview(bytes(BODY)), dict.fromkeys(crowd, BODY)
        deadline = time.monotonic() + 60
        while any(left.values()) and time.monotonic() < deadline:
            for sender in (sender for sender, size in left.items() if size):
                try:
                    left[sender] -= sender.send(body[BODY - left[sender] :])
                except BlockingIOError:
                    continue
                except OSError:  # answered, and closed
                    left[sender] = 0
            time.sleep(0.001)
        answered = b""
        for sender in crowd:
            try:
                answered += sender.recv(4096)
            except OSError:  # it is held: nothing came yet
                continue
        assert answered.count(b"HTTP/1.1 503") >= CROWD - 6
        assert answered.lower().count(b"retry-after") == answered.count(b"HTTP/1.1 503")
        assert pss(tight) - before < 100 * MIB
        with tight.client() as client:
            assert client.get("/livez").status_code == 200
    finally:
        for sender in crowd:
            sender.close()
    wait_for(lambda: serves(tight, voice), 30)


def test_downloads_that_stall(tight: Bundle, site: LocalSite, voice: bytes) -> None:
    async def most(writer: asyncio.StreamWriter) -> None:
        writer.write(raw(f"HTTP/1.1 200 OK\nContent-Length: {BODY + 1}", bytes(BODY)))
        await writer.drain()
        await asyncio.sleep(5)

    url = site.add("/stalling", most)
    assert serves(tight, voice)
    before, most_used = pss(tight), 0

    def ask(number: int) -> httpx.Response:
        with tight.client() as client:
            return client.post("/analyze-audio", json={"audio_url": f"{url}?{number}"})

    with ThreadPoolExecutor(CROWD) as crowd:
        asked = [crowd.submit(ask, number) for number in range(CROWD)]
        while not all(future.done() for future in asked):
            most_used = max(most_used, pss(tight) - before)
            time.sleep(0.1)
    refused = [future.result() for future in asked if future.result().status_code == 503]
    assert len(refused) >= CROWD - 6
    for answer in refused:
        assert_error(answer, 503, "too many bytes")
        assert int(answer.headers["retry-after"]) >= 1
    assert most_used < 100 * MIB
    wait_for(lambda: serves(tight, voice), 30)


def test_pixels_count_and_a_large_picture_can_be_had_alone(tight: Bundle) -> None:
    out = io.BytesIO()
    Image.new("RGB", (5000, 4000)).save(out, "PNG")  # 80 MB of pixels in 60 kB

    def ask() -> httpx.Response:
        with tight.client() as client:
            return client.post("/api/gender", files={"image": out.getvalue()})

    assert_error(ask(), 422, "face")
    with socket.create_connection(("127.0.0.1", tight.port)) as other:
        other.sendall(HEAD + bytes(MIB))
        wait_for(lambda: ask().status_code == 503)
        assert_error(ask(), 503, "too many bytes")
    wait_for(lambda: ask().status_code == 422)
