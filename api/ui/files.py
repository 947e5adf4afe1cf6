"""The files of the page: those named here and in the list of examples, and no others."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from fastapi.responses import FileResponse

from api.pages import HEADERS

PAGE = Path(__file__).parent / "page"
EXAMPLES = Path(__file__).parent / "examples"
LIST = "examples.json"

# By name; each ``.js`` module says in its first line what it is for.
PARTS = {
    "playground.css": "text/css",
    "playground.js": "text/javascript",
    "panels.js": "text/javascript",
    "answer.js": "text/javascript",
    "drawing.js": "text/javascript",
    "ask.js": "text/javascript",
    "capture.js": "text/javascript",
    "lit-html.js": "text/javascript",
}
MEDIA_TYPES = {
    ".json": "application/json",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".jpg": "image/jpeg",
}


def part(name: str) -> FileResponse | None:
    """What the page loads under this name, or None when there is no such thing."""
    if name not in PARTS:
        return None
    return FileResponse(PAGE / name, media_type=PARTS[name], headers=HEADERS)


def example(name: str) -> FileResponse | None:
    """An example, or their list; None when there is no such thing."""
    if name not in _examples():
        return None
    path = EXAMPLES / name
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=HEADERS)


@functools.cache
def _examples() -> frozenset[str]:
    listed = json.loads((EXAMPLES / LIST).read_text())
    return frozenset(entry["file"] for entry in listed) | {LIST}
