"""Recordings that are short to send and long to answer: many at once hold up neither one another nor other callers."""

from __future__ import annotations

import base64
import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from tests.support.served import KEY, Bundle

pytestmark = pytest.mark.served

AT_ONCE = 16
RATE_HZ, SECONDS = 100, 600  # the lowest rate that is read, and the longest recording
GATEWAY_S = 60.0  # after which a proxy gives up
HELD_UP_S = 20.0  # far more than a short recording takes on a busy machine, far less than sixteen long ones


def long_and_small() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(RATE_HZ * SECONDS, np.int16), RATE_HZ, format="FLAC")
    return file.getvalue()


def ask(bundle: Bundle, route: str, body: bytes) -> tuple[int, float, str]:
    """Status, seconds and ``Retry-After`` of the answer."""
    options: dict[str, Any] = {"content": body}
    if route == "/api/detect-gender":
        options = {"files": {"audio": body}}
    elif route == "/api/voice-detection":
        words = {"language": "Tamil", "audioFormat": "flac", "audioBase64": base64.b64encode(body).decode()}
        options = {"json": words, "headers": {"x-api-key": KEY}}
    started = time.monotonic()
    answer = httpx.post(f"{bundle.url}{route}", timeout=2 * GATEWAY_S, **options)
    return answer.status_code, time.monotonic() - started, answer.headers.get("retry-after", "")


@pytest.mark.parametrize("route", ["/upload_audio", "/api/detect-gender", "/api/voice-detection"])
def test_many_long_recordings_of_a_few_bytes(bundle: Bundle, client: httpx.Client, voice: bytes, route: str) -> None:
    """On the AI-voice route they were let in one and all, and took more than a minute."""
    body = long_and_small()
    assert len(body) < 4096
    with ThreadPoolExecutor(AT_ONCE) as callers:
        asked = [callers.submit(ask, bundle, route, body) for _ in range(AT_ONCE)]
        started = time.monotonic()
        short = client.post("/api/detect-gender", files={"audio": voice})
        assert short.status_code == 200
        assert time.monotonic() - started < HELD_UP_S
        answers = [answer.result() for answer in asked]
    assert {status for status, _, _ in answers} <= {200, 429}
    assert max(seconds for _, seconds, _ in answers) < GATEWAY_S
    answered = [seconds for status, seconds, _ in answers if status == 200]
    refused = [(seconds, later) for status, seconds, later in answers if status == 429]
    assert answered
    assert all(seconds < min(answered) and int(later) >= 1 for seconds, later in refused)
    if route == "/api/voice-detection":  # of which one takes seconds
        assert refused
