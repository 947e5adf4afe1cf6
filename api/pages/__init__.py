"""The landing page, that of the API, and what they load: nothing from elsewhere, and no script within a page."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi.responses import HTMLResponse, Response
from starlette.requests import Request

from api.static import static_file
from core.settings import get_settings

_ROOT = Path(__file__).parent
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
