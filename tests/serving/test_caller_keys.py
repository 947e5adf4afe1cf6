"""Keys and quotas of callers, as a server with a store of keys answers over HTTP."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bentoml
import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.served import KEY, ROOT, TOGETHER, Bundle, serve, wait_for

pytestmark = pytest.mark.served


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the keys are kept."""
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def keyed(store: Path, key_file: Path) -> Iterator[Bundle]:
    """The bundle with a store of keys, which is empty when it starts."""
    with serve(store, TOGETHER | {"KEY_STORE": str(key_file)}) as running:
        yield running


def command(key_file: Path, *arguments: str) -> str:
    """``python -m cli keys``; gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "keys", *arguments],
        cwd=ROOT, env={**os.environ, "KEY_STORE": str(key_file)}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def statuses(url: str, voice: bytes, key: str) -> dict[str, int]:
    """What the routes answer to a key."""
    headers = {"x-api-key": key}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        return {
            "voice-gender": client.post("/api/detect-gender", files={"audio": voice}).status_code,
            "typed": client.post("/v1/voice-gender", files={"audio": voice}).status_code,
            "heart-sound": client.post("/upload_audio", content=voice).status_code,
            "latest": client.get("/", headers={"accept": "application/json"}).status_code,
            "audio-scene": client.post("/analyze-audio", json={"audio_url": "http://192.0.2.1/"}).status_code,
            "ai-voice": client.post("/api/voice-detection", json={}).status_code,
        }


def test_a_new_key_opens_its_questions_until_it_is_revoked(keyed: Bundle, key_file: Path, voice: bytes) -> None:
    assert set(statuses(keyed.url, voice, "").values()) == {403}
    key = command(key_file, "add", "lab", "--questions", "voice-gender", "ai-voice")
    wait_for(lambda: statuses(keyed.url, voice, key)["voice-gender"] == 200)
    assert statuses(keyed.url, voice, key) == {
        "voice-gender": 200, "typed": 200, "heart-sound": 403, "latest": 403, "audio-scene": 403, "ai-voice": 400,
    }  # fmt: skip
    with bentoml.SyncHTTPClient(keyed.url, token=key) as client:
        assert client.voice_gender(audio=ROOT / "tests/data/voices/male_1.flac")
    assert statuses(keyed.url, voice, KEY) == {  # of API_KEY
        "voice-gender": 403, "typed": 403, "heart-sound": 403, "latest": 403, "audio-scene": 403, "ai-voice": 400,
    }  # fmt: skip
    command(key_file, "revoke", "lab")
    wait_for(lambda: statuses(keyed.url, voice, key)["voice-gender"] == 403)


def test_quotas(keyed: Bundle, key_file: Path, voice: bytes) -> None:
    key = command(key_file, "add", "small", "--requests-per-minute", "5", "--mb-per-day", "1")
    headers = {"x-api-key": key, "origin": "https://a.example"}
    wait_for(lambda: httpx.get(keyed.url, headers=headers).status_code == 404)  # 404: the key is known
    with keyed.client(headers=headers) as client:
        good = client.post("/api/detect-gender", files={"audio": voice})
        assert good.status_code == 200
        assert good.headers["ratelimit-policy"].startswith('"requests";q=5;w=60, "bytes";q=1048576;w=86400')
        assert good.headers["ratelimit"].startswith('"requests";r=3;t=')
        assert "ratelimit" in good.headers["access-control-expose-headers"].lower()
        large = client.post("/upload_audio", content=bytes(2 << 20))
        endless = client.post("/upload_audio", content=(bytes(1 << 18) for _ in range(8)))
        chunked = client.post("/upload_audio", content=(bytes(1 << 17) for _ in range(8)))
        spent = client.post("/api/detect-gender", files={"audio": voice})
    for refused in (chunked, spent):
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
    for refused in (large, endless):
        assert refused.status_code == 413
        assert "in a day" in refused.json()["message"]
    for refused in (large, endless, chunked, spent):
        assert refused.json()["status"] == "error"
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert "5 requests" in spent.json()["message"]
    assert "bytes of this day" in chunked.json()["message"]


def test_a_key_leaves_places_of_live_streams_to_others(keyed: Bundle, key_file: Path) -> None:
    url = f"{keyed.url.replace('http', 'ws')}/v1/stream/audio-scene"
    greedy, modest = ({"x-api-key": command(key_file, "add", name)} for name in ("greedy", "modest"))
    wait_for(lambda: httpx.get(keyed.url, headers=modest).status_code == 404)  # 404: the key is known

    def opened(headers: dict[str, str]) -> tuple[int, int]:
        """The status, and after how many seconds to come back."""
        try:
            with connect(url, additional_headers=headers) as socket:
                socket.send("end")
                return 101, 0
        except InvalidStatus as refused:
            return refused.response.status_code, int(refused.response.headers["retry-after"])

    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(connect(url, additional_headers=greedy)) for _ in range(16)]
        assert (opened(greedy), opened(modest)) == ((429, 10), (101, 0))
        sockets[0].close()
        wait_for(lambda: opened(greedy) == (101, 0))


def test_pages_health_and_preflights_need_no_key(keyed: Bundle) -> None:
    for path in ("/readyz", "/docs.json", "/ui", "/metrics", "/schema.json"):
        assert httpx.get(f"{keyed.url}{path}").status_code == 200, path
    assert httpx.get(keyed.url, headers={"accept": "text/html"}).status_code == 200
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert httpx.options(f"{keyed.url}/api/detect-gender", headers=asked).status_code == 200
