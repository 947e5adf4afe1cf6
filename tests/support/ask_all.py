"""Asks a served bundle each of the five questions once, about samples whose answer is known.

``python tests/support/ask_all.py URL KEY`` prints the answers and fails when one is wrong.
It needs only what serving needs.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

DATA = Path(__file__).parents[1] / "data"
HOST = "127.0.0.1"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def ask(client: httpx.Client, key: str, site: str) -> dict[str, tuple[object, object]]:
    """The five answers beside the right ones.

    Args:
        client: Of the served bundle.
        key: For the keyed route.
        site: Address under which ``tests/data`` is served, allowed by ``ALLOWED_PRIVATE_HOSTS``.
    """
    voice = client.post("/api/detect-gender", files={"audio": (DATA / "voices/male_1.flac").read_bytes()})
    face = client.post("/api/gender", files={"image": (DATA / "faces/female_1.jpg").read_bytes()})
    heart = client.post("/upload_audio", content=(DATA / "hearts/normal_1.pcm").read_bytes())
    scene = client.post("/analyze-audio", json={"audio_url": f"{site}/scenes/speech_1.flac"})
    audio = base64.b64encode((DATA / "ai_voice/ai_ta_espeak.mp3").read_bytes()).decode()
    body = {"language": "Tamil", "audioFormat": "mp3", "audioBase64": audio}
    deepfake = client.post("/api/voice-detection", json=body, headers={"x-api-key": key})
    for response in (voice, face, heart, scene, deepfake):
        print(response.status_code, response.headers.get("x-model"), response.text)
        response.raise_for_status()
    return {
        "voice gender": (voice.json()[0]["label"], "male"),
        "face gender": (face.json()["predictions"]["class"], "female"),
        "heart sound": (heart.text.split(",")[0], "Normal"),
        "audio scene": (scene.json()["data"]["classification"], "speech"),
        "AI voice": (deepfake.json()["classification"], "AI_GENERATED"),
    }


@contextlib.contextmanager
def samples() -> Iterator[str]:
    """Serves ``tests/data`` as long as the context lasts; gives its address."""
    handler = functools.partial(_Quiet, directory=str(DATA))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()


def main(url: str, key: str) -> int:
    """Serves the samples, asks, and says which answers are wrong."""
    with samples() as site, httpx.Client(base_url=url, timeout=60) as client:
        answers = ask(client, key, site)
    wrong = {question: pair for question, pair in answers.items() if pair[0] != pair[1]}
    for question, (given, right) in wrong.items():
        print(f"{question}: {given}, but it is {right}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
