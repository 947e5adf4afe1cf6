"""Recordings that are short to send and long to answer: many at once hold up neither one another nor other callers."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import soundfile

from tests.support.served import Bundle

pytestmark = pytest.mark.served

AT_ONCE = 16
RATE_HZ, SECONDS = 100, 600  # the lowest rate that is read, and the longest recording
GATEWAY_S = 60.0  # after which a proxy gives up
HELD_UP_S = 20.0  # far more than a short recording takes on a busy machine, far less than sixteen long ones


def long_and_small() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(RATE_HZ * SECONDS, np.int16), RATE_HZ, format="FLAC")
    return file.getvalue()


def test_many_long_recordings_of_a_few_bytes(bundle: Bundle, client: httpx.Client, voice: bytes) -> None:
    body = long_and_small()
    assert len(body) < 4096

    def ask(_: int) -> tuple[int, float, str]:
        started = time.monotonic()
        answer = httpx.post(f"{bundle.url}/upload_audio", content=body, timeout=2 * GATEWAY_S)
        return answer.status_code, time.monotonic() - started, answer.headers.get("retry-after", "")

    with ThreadPoolExecutor(AT_ONCE) as callers:
        asked = [callers.submit(ask, number) for number in range(AT_ONCE)]
        started = time.monotonic()
        short = client.post("/api/detect-gender", files={"audio": voice})
        assert short.status_code == 200
        assert time.monotonic() - started < HELD_UP_S
        answers = [answer.result() for answer in asked]
    assert {status for status, _, _ in answers} <= {200, 429}
    assert any(status == 200 for status, _, _ in answers)
    assert max(seconds for _, seconds, _ in answers) < GATEWAY_S
    assert all(int(later) >= 1 for status, _, later in answers if status == 429)
