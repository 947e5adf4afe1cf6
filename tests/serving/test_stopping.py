"""SIGTERM: what is in flight is answered, and a client that has gone holds nothing up."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.http_site import ok
from tests.support.served import serve, wait_for
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

# From the last answer to the end of the last process, where a second of work takes a second; the processes take 0.8 s
# on two cores of which five others work. Held up, they took 87 s.
WITHIN_S = 5.0
WORK_S = 0.2
HEAD = b"POST /upload_audio HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


def slowness() -> float:
    """How many times as long as on a machine of its own this process needs for its work just now; at least 1."""
    started, worked = time.monotonic(), time.thread_time()
    while time.thread_time() - worked < WORK_S:
        pass
    return max(1.0, (time.monotonic() - started) / WORK_S)


def test_sixteen_broken_uploads_do_not_hold_up_the_end(store: Path, site: LocalSite, voice: bytes) -> None:
    """A request whose caller had gone was held for 90 s, and the end of the server with it."""
    asked = threading.Semaphore(0)

    async def slow(writer: asyncio.StreamWriter) -> None:
        asked.release()
        await asyncio.sleep(3)
        writer.write(ok(voice))

    url = site.add("/while-stopping.flac", slow)

    def ask(number: int) -> tuple[httpx.Response, float]:
        with bundle.client() as client:
            return client.post("/analyze-audio", json={"audio_url": f"{url}?{number}"}), time.monotonic()

    with serve(store, {}) as bundle, ThreadPoolExecutor(2) as crowd:
        for _ in range(16):
            with socket.create_connection(("127.0.0.1", bundle.port)) as upload:
                upload.sendall(HEAD + bytes(1000))
        wait_for(lambda: sum(line.get("status") == 499 for line in bundle.log_lines()) == 16)
        answers = [crowd.submit(ask, number) for number in range(2)]
        assert asked.acquire(timeout=30)
        assert asked.acquire(timeout=30)
        before = slowness()
        assert bundle.stop() == 0
        ended = time.monotonic()
        within_s = WITHIN_S * max(before, slowness())
        assert [answer.result()[0].status_code for answer in answers] == [200, 200]
        assert ended - max(answer.result()[1] for answer in answers) < within_s
        assert not [line for line in bundle.log_lines() if "has ended" in line["message"]]  # as what has died
