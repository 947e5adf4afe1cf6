"""The landing page, the page of the API document, and the files that pages load.

Pages load nothing from other hosts, and hold no inline scripts.

Files are compressed once for clients that take gzip, and not sent again while they are unchanged. The two large ones,
of Swagger UI, lie here in Brotli too, which takes 3 s to make: ``python -m tests.support.packed_pages`` writes them.
"""

from __future__ import annotations

import functools
import gzip
import html
import re
from collections.abc import Mapping
from pathlib import Path

import fastapi_offline
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from core.settings import get_settings
from tasks.names import FURTHER
from tasks.questions import questions

COMPRESSIBLE = ("text/", "application/json", "image/svg+xml")  # recordings and photographs are compressed already
SAMPLES = {".flac": "audio/flac", ".mp3": "audio/mpeg", ".wav": "audio/wav", ".jpg": "image/jpeg"}
SMALLEST = 1000  # bytes; smaller files fit into one packet as they are
GZIP, BROTLI = "gzip", "br"
PART = re.compile(r"bytes=(?:(?P<start>[0-9]{1,15})-(?P<end>[0-9]{0,15})|-[1-9][0-9]{0,14})")  # of a file
NEVER = re.compile(r"q=0(\.0*)?")
FILES = 64  # compressed files that are kept in memory, 0.6 MiB in all


class File(FileResponse):
    """A file, or the part of it that a client asks for; the whole where that is no part of it (RFC 9110, 14.2).

    Starlette would answer that with 400 or 416 in a text of its own, which is no error of the contract.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        if not self._has(Headers(scope=scope).get("range", "")):
            scope = {**scope, "headers": [field for field in scope["headers"] if field[0] != b"range"]}
        await super().__call__(scope, receive, send)

    def _has(self, asked: str) -> bool:
        found = PART.fullmatch(asked)
        if found is None or found["start"] is None:
            return found is not None
        start = int(found["start"])
        return start < Path(self.path).stat().st_size and (not found["end"] or start <= int(found["end"]))


def static_file(request: Request, path: Path, media_type: str, headers: Mapping[str, str]) -> Response:
    """A file of the source tree or of an installed package.

    Args:
        request: What the client takes, and which version it has.
        path: The file; the calling function has checked that it may be served.
        media_type: Its type.
        headers: To send with it.
    """
    coding = _coding(request, path, media_type, path.stat().st_size)
    file = BROTLI_FILES[path.name] if coding == BROTLI else path
    stat = file.stat()
    tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}{coding and f"-{coding}"}"'
    sent = {**headers, "etag": tag, "vary": "accept-encoding"}
    if tag in (part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=sent)
    if coding:
        sent["content-encoding"] = coding
    if coding in ("", BROTLI):
        return File(file, media_type=media_type, headers=sent)
    return Response(packed(path, stat.st_mtime_ns), media_type=media_type, headers=sent)


def _coding(request: Request, path: Path, media_type: str, size: int) -> str:
    """How a file of ``size`` bytes is compressed for this client; empty where it is not."""
    if not media_type.startswith(COMPRESSIBLE) or size < SMALLEST:
        return ""
    if path.name in BROTLI_FILES and takes(request, BROTLI):
        return BROTLI
    return GZIP if takes(request, GZIP, "x-gzip") else ""


def static_text(request: Request, body: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The same for what is no file: it is compressed each time.

    Args:
        request: What the client takes.
        body: The text.
        media_type: Its type.
        headers: To send with it.
    """
    sent = {**headers, "vary": "accept-encoding"}
    if not takes(request, GZIP, "x-gzip"):
        return Response(body, media_type=media_type, headers=sent)
    return Response(gzip.compress(body, mtime=0), media_type=media_type, headers={**sent, "content-encoding": GZIP})


@functools.lru_cache(maxsize=FILES)
def packed(path: Path, _changed: int) -> bytes:
    """A file in gzip; it takes 0.1 s for the largest one, once."""
    return gzip.compress(path.read_bytes(), 9, mtime=0)


def takes(request: Request, *names: str) -> bool:
    """Whether a client takes a coding of one of these names (RFC 9110, section 12.5.3)."""
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name in names:
            return not any(NEVER.fullmatch(parameter) for parameter in parameters)
    return False


_ROOT = Path(__file__).parent / "pages"
TRY_IT = '<li><a href="/ui">Try it</a></li>'

_SWAGGER = Path(fastapi_offline.__file__).parent / "static"  # Swagger UI as its package carries it

# Everything that is loaded from here, by name: its folder and its type. Nothing else in these folders is served.
ASSETS = {
    "site.css": (_ROOT, "text/css"),
    "icon.svg": (_ROOT, "image/svg+xml"),
    "landing.js": (_ROOT, "text/javascript"),
    "docs.css": (_ROOT, "text/css"),
    "docs.js": (_ROOT, "text/javascript"),
    "swagger-ui.css": (_SWAGGER, "text/css"),
    "swagger-ui-bundle.js": (_SWAGGER, "text/javascript"),
}

BROTLI_FILES = {name: _ROOT / f"{name}.br" for name, (folder, _) in ASSETS.items() if folder is _SWAGGER}

# Recordings and pictures that a page itself made are ``blob:``. No form is sent by the browser itself, so that a
# key never ends up in an address.
POLICY = (
    "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def landing() -> HTMLResponse:
    """The page that a browser gets at ``/``, which shares that address with JSON."""
    text = (_ROOT / "landing.html").read_text()
    if FURTHER:
        text = text.replace("Five questions", f"{len(questions())} questions")
        text = text.replace("  </main>", "".join(map(_card, FURTHER)) + "  </main>")
    if not get_settings().playground:
        text = text.replace(TRY_IT, "")
    return HTMLResponse(text, headers=HEADERS | {"vary": "accept"})


def _card(name: str) -> str:
    """A further question; the five are in the page itself, with the routes of the services that they replace."""
    path, file = f"/v1/classify/{name}", "recording.wav" if questions()[name].kind == "audio" else "picture.jpg"
    return f"""    <section class="card" aria-labelledby="{name}">
      <h2 id="{name}">{html.escape(questions()[name].text)}</h2>
      <code class="route">POST {path}</code>
      <pre><code>curl <span data-origin>http://localhost:3000</span>{path} -F file=@{file}</code></pre>
    </section>
"""


def docs(request: Request) -> Response:
    """The OpenAPI document as a page. The icons of Swagger UI are ``data:`` addresses in its styles."""
    headers = HEADERS | {"content-security-policy": POLICY.replace("img-src", "img-src data:")}
    return static_file(request, _ROOT / "docs.html", "text/html", headers)


def asset(request: Request, name: str) -> Response | None:
    """What a page loads under this name, or None when there is no such thing."""
    if name not in ASSETS:
        return None
    folder, media_type = ASSETS[name]
    return static_file(request, folder / name, media_type, HEADERS)
