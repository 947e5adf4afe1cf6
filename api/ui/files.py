"""The files of the page: its scripts and styles and the listed examples, and no others."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from fastapi.responses import Response
from starlette.requests import Request

from api.pages import HEADERS
from api.static import static_file

PAGE = Path(__file__).parent / "page"
EXAMPLES = Path(__file__).parent / "examples"
LIST = "examples.json"

# What the page loads from its folder; each module says in its first line what it is for.
PART_TYPES = {".css": "text/css", ".js": "text/javascript"}
PARTS = {path.name: PART_TYPES[path.suffix] for path in PAGE.iterdir() if path.suffix in PART_TYPES}
MEDIA_TYPES = {
    ".json": "application/json",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".jpg": "image/jpeg",
}


def page(request: Request) -> Response:
    """The page itself."""
    return static_file(request, PAGE / "playground.html", "text/html", HEADERS)


def part(request: Request, name: str) -> Response | None:
    """What the page loads under this name, or None when there is no such thing."""
    if name not in PARTS:
        return None
    return static_file(request, PAGE / name, PARTS[name], HEADERS)


def example(request: Request, name: str) -> Response | None:
    """An example, or their list; None when there is no such thing."""
    if name not in _examples():
        return None
    path = EXAMPLES / name
    return static_file(request, path, MEDIA_TYPES[path.suffix], HEADERS)


@functools.cache
def _examples() -> frozenset[str]:
    listed = json.loads((EXAMPLES / LIST).read_text())
    return frozenset(entry["file"] for entry in listed) | {LIST}
