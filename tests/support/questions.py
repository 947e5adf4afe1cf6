"""A good request of each of the five questions, for tests that ask all of them."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Mapping

import httpx

from tests.support.served import DATA, KEY
from tests.support.site_thread import LocalSite

Ask = Callable[[httpx.Client, Mapping[str, str]], httpx.Response]

MODELS_BY_ROUTE = {
    "/api/detect-gender": ("voice_gender",),
    "/api/gender": ("face_gender",),
    "/upload_audio": ("heart_sound",),
    "/analyze-audio": ("audio_scene",),
    "/api/voice-detection": ("deepfake_encoder", "deepfake_cnn", "deepfake_mlp"),
}


def questions(site: LocalSite) -> dict[str, Ask]:
    """Requests by route; each takes a client and more headers.

    Args:
        site: Serves the audio of the one that takes a URL; every request has a URL of its own.
    """
    voice = (DATA / "voices/male_1.flac").read_bytes()
    face = (DATA / "faces/female_1.jpg").read_bytes()
    heart = (DATA / "hearts/normal_1.pcm").read_bytes()
    url = site.add_file("/question.flac", voice)
    numbers = itertools.count()
    body = {"language": "English", "audioFormat": "flac", "audioBase64": base64.b64encode(voice).decode()}
    return {
        "/api/detect-gender": lambda client, more: client.post(
            "/api/detect-gender", files={"audio": voice}, headers=more
        ),
        "/api/gender": lambda client, more: client.post("/api/gender", files={"image": face}, headers=more),
        "/upload_audio": lambda client, more: client.post("/upload_audio", content=heart, headers=more),
        "/analyze-audio": lambda client, more: client.post(
            "/analyze-audio", json={"audio_url": f"{url}?{next(numbers)}"}, headers=more
        ),
        "/api/voice-detection": lambda client, more: client.post(
            "/api/voice-detection", json=body, headers={"x-api-key": KEY, **more}
        ),
    }
