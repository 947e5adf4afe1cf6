"""The landing page and what it loads: nothing comes from elsewhere, and no page holds a script of its own."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import FileResponse, HTMLResponse

from core.settings import get_settings

_ROOT = Path(__file__).parent
TRY_IT = '<li><a href="/ui">Try it</a></li>'

# Everything that is loaded from here, by name; nothing else in this folder is served.
ASSETS = {"site.css": "text/css", "icon.svg": "image/svg+xml", "landing.js": "text/javascript"}

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
    if not get_settings().playground:
        text = text.replace(TRY_IT, "")
    return HTMLResponse(text, headers=HEADERS | {"vary": "accept"})


def asset(name: str) -> FileResponse | None:
    """What a page loads under this name, or None when there is no such thing."""
    if name not in ASSETS:
        return None
    return FileResponse(_ROOT / name, media_type=ASSETS[name], headers=HEADERS)
