"""Canaries: secrets are put in every place that a caller or an operator has, and looked for where nothing may be."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.audio_bytes import speech, wav
from tests.support.http_site import ok, redirect, reply
from tests.support.otlp_collector import Collector, collect
from tests.support.redis_server import free_port
from tests.support.served import DATA, KEY, Bundle, serve, wait_for
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

CANARY = "canary7f3a"  # what callers send
OPERATORS = "canary9c1b"  # what is configured
HIDDEN = (CANARY, OPERATORS, KEY)
ENCODED = tuple(base64.b64encode(f"user:{secret}".encode()).decode().rstrip("=") for secret in HIDDEN)
# The secrets alone: with what may stand before them in the pattern, a megabyte takes seconds, and many are searched.
SECRET = re.compile("|".join(re.escape(secret) for secret in (*HIDDEN, *ENCODED)), re.IGNORECASE)
WAV = wav(speech(1.0), 16_000)
HEADERS = {
    "authorization": f"Bearer {CANARY}",
    "proxy-authorization": f"Basic {CANARY}",
    "cookie": f"session={CANARY}",
    "user-agent": CANARY,
    "referer": f"https://user:{CANARY}@example.org/?{CANARY}",
    "x-forwarded-for": CANARY,
    "x-request-id": f"{CANARY} is not an id",
    "traceparent": f"00-{CANARY}",
    "baggage": f"user={CANARY}",
}
MULTIPART = {"content-type": f"multipart/form-data; boundary={CANARY}"}
JSON = {"content-type": f"application/json; charset={CANARY}"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collect() as running:
        yield running


@pytest.fixture(scope="module")
def talkative(store: Path, collector: Collector) -> Iterator[Bundle]:
    """A bundle that logs all it can, with secrets in its settings and a Redis that is not there."""
    settings = {
        "LOG_LEVEL": "DEBUG",
        "REDIS_URL": f"redis://user:{OPERATORS}@127.0.0.1:{free_port()}/0",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url.replace('//', f'//user:{OPERATORS}@')}/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {OPERATORS}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "FETCH_TIMEOUT_S": "2",
    }
    with serve(store, settings) as running:
        yield running


@pytest.fixture(scope="module")
def addresses(site: LocalSite) -> list[str]:
    """Downloads that go well, and that go wrong in every way."""
    good = site.add_file("/sweep.wav", WAV)
    return [
        f"{address}?signature={CANARY}#{CANARY}"
        for address in (
            good,
            site.add("/moved", redirect(f"{good}?signature={CANARY}&moved")),
            site.add("/astray", redirect(f"http://user:{CANARY}@127.0.0.1:{free_port()}/?{CANARY}")),
            site.add("/forbidden", reply(403, CANARY.encode())),
            site.add("/text", ok(CANARY.encode(), f"Content-Type: audio/{CANARY}", f"Set-Cookie: {CANARY}")),
            site.add("/cut", f"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{CANARY}".encode()),
            good.replace("http://", f"http://user:{CANARY}@"),
            good.replace("http://", "https://"),
            f"http://127.0.0.1:{free_port()}/",
            f"http://{CANARY}.invalid/",
            f"file:///{CANARY}",
        )
    ]


def uploads() -> list[tuple[str, bytes]]:
    """File name and content: good, and wrong in several ways."""
    tagged = b"ID3\x04\x00\x00\x00\x00\x00\x20TIT2\x00\x00\x00\x16\x00\x00\x00" + CANARY.encode() * 2
    return [
        (f"{CANARY}.wav", WAV),
        (f"{CANARY}.wav", WAV[:60] + CANARY.encode()),
        (f"../{CANARY}.mp3", tagged + (DATA / "ai_voice/human_en.mp3").read_bytes()[:3000] + CANARY.encode() * 50),
        (f"{CANARY}.m4a", b"\x00\x00\x00\x20ftypM4A " + CANARY.encode() * 9),
        (f"{CANARY}.png", b"\x89PNG\r\n\x1a\n" + CANARY.encode() * 9),
        (CANARY, CANARY.encode()),
        (CANARY, b""),
    ]


def requests(addresses: list[str]) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Method, path, headers and body."""
    for path in ("/api/detect-gender", "/api/gender", "/predict", "/v1/voice-gender", "/v1/face-gender"):
        for name, content in uploads():
            for key in (
                "image" if "gender" in path and "voice" not in path and "detect" not in path else "audio",
                CANARY,
            ):
                head = f'--{CANARY}\r\nContent-Disposition: form-data; name="{key}"; filename="{name}"\r\n\r\n'
                yield "POST", path, MULTIPART, head.encode() + content + f"\r\n--{CANARY}--\r\n".encode()
        yield "POST", path, MULTIPART, CANARY.encode()
        yield "POST", path, JSON, json.dumps({"audio": CANARY, "image": CANARY}).encode()
        yield "POST", path, {"content-type": f"text/{CANARY}"}, CANARY.encode()
    for body in (CANARY.encode(), CANARY.encode() * 3201):
        yield "POST", "/upload_audio", {}, body
    for path in ("/analyze-audio", "/v1/audio-scene"):
        for address in addresses:
            yield "POST", path, JSON, json.dumps({"audio_url": address}).encode()
        for wrong in ({"audio_url": [CANARY]}, {CANARY: CANARY}, CANARY):
            yield "POST", path, JSON, json.dumps(wrong).encode()
        yield "POST", path, JSON, f'{{"audio_url": {CANARY}'.encode()
    for key in (KEY, CANARY):
        for audio in (base64.b64encode(WAV).decode(), base64.b64encode(CANARY.encode()).decode(), f"{CANARY}!", ""):
            for kind in ("wav", CANARY):
                asked = {"language": CANARY if kind == CANARY else "Tamil", "audioFormat": kind, "audioBase64": audio}
                yield "POST", "/api/voice-detection", {**JSON, "x-api-key": key}, json.dumps(asked).encode()
                keyed = {**JSON, "authorization": f"Bearer {key}"}
                yield "POST", "/v1/voice-detection", keyed, json.dumps({"request": asked}).encode()
    for path in ("/", "/ui", "/docs", "/docs.json", "/metrics", "/readyz", f"/{CANARY}", f"/pages/{CANARY}"):
        yield "GET", path, {}, b""
    yield "DELETE", "/api/gender", {}, b""
    yield CANARY.upper(), "/api/gender", {}, b""


def everything_written(bundle: Bundle) -> dict[str, str]:
    """Standard error, log files, and whatever else lies in the bundle's folder; not the models."""
    return {
        str(file.relative_to(bundle.folder)): file.read_bytes().decode(errors="replace")
        for file in bundle.folder.rglob("*")
        if file.is_file() and "models" not in file.relative_to(bundle.folder).parts
    }


def leaks(text: str) -> set[str]:
    """What stands around a canary, as it is or in base64 as basic authentication has it."""
    return {text[max(0, found.start() - 80) : found.end() + 40] for found in SECRET.finditer(text)}


def test_no_secret_is_logged_measured_exported_or_kept(
    talkative: Bundle, collector: Collector, addresses: list[str]
) -> None:
    with talkative.client() as client, ThreadPoolExecutor(4) as crowd:  # many wait for servers that they name

        def ask(asked: tuple[str, str, dict[str, str], bytes]) -> int:
            method, path, more, body = asked
            url = f"{talkative.url}{path}?token={CANARY}&sample_rate=16000"
            return client.send(httpx.Request(method, url, headers=HEADERS | more, content=body)).status_code

        statuses = set(crowd.map(ask, requests(addresses)))
        last = client.get("/docs.json").headers["x-request-id"]
        measured = client.get("/metrics").text
    assert {200, 400, 403, 404, 405, 415, 422, 502} <= statuses  # good ones, and mistakes of every kind
    assert not {429, 503} & statuses  # none was refused before it was read
    talkative.log_of(last)
    wait_for(lambda: any(last.encode() in export for export in collector.raw))
    for name, text in everything_written(talkative).items():
        assert not leaks(text), name
    assert not leaks(measured)
    for export in collector.raw:
        assert not leaks(export.decode(errors="replace"))


def test_every_line_on_standard_error_is_json(talkative: Bundle) -> None:
    lines = talkative.stderr.splitlines()
    assert len(lines) > 100
    for line in lines:
        assert {"time", "level", "logger", "message"} <= json.loads(line).keys(), line


def test_a_collector_that_is_gone_is_logged_without_its_secrets(talkative: Bundle, collector: Collector) -> None:
    """And costs no request."""
    collector.close()
    with talkative.client() as client:
        for _ in range(3):
            assert client.post("/api/detect-gender", files={"audio": WAV}).status_code == 200
    wait_for(lambda: any("opentelemetry" in line["logger"] for line in talkative.log_lines()), 30)
    assert talkative.stop() == 0
    for name, text in everything_written(talkative).items():
        assert not leaks(text), name
