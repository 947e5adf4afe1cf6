"""Which question each address asks, by name alone.

Runner processes load this module too, so it imports nothing that answers.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

from api.accept import prefers_html
from tasks.names import AI_VOICE, FURTHER, MODELS_BY_QUESTION

UNDER = ("/v1/classify/", "/ui/ask/", "/v1/stream/")  # addresses that end with the question
TYPED = {name: f"/v1/{name}" for name in MODELS_BY_QUESTION} | {AI_VOICE: "/v1/voice-detection"}  # of BentoML's methods
# What is asked at each other address. A test compares it with the addresses that there are.
_ASKED_AT = {
    "/api/detect-gender": "voice-gender",
    "/api/gender": "face-gender",
    "/predict": "face-gender",
    "/upload_audio": "heart-sound",
    "/analyze-audio": "audio-scene",
    "/api/voice-detection": AI_VOICE,
} | {path: name for name, path in TYPED.items()}


def question_of(scope: Scope) -> str | None:
    """The question that a request asks.

    Returns:
        Its name; None where the request asks none: pages, documents, health.
    """
    path = scope["path"]
    if path == "/" and scope.get("method") in ("GET", "HEAD"):  # the latest heart sound; a browser gets a page
        return None if prefers_html(Headers(scope=scope).get("accept", "")) else "heart-sound"  # read as its route does
    if scope["type"] == "http" and scope["method"] != "POST":
        return None
    for prefix in UNDER:
        if path.startswith(prefix):
            return str(path.removeprefix(prefix))
    return _ASKED_AT.get(path) or _further(path)


def _further(path: str) -> str | None:
    """The further question that an address of its own ends with, as ``/api/loudness`` does."""
    name = path.rstrip("/").rpartition("/")[2].replace("_", "-")
    return name if name in FURTHER else None
