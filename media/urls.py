"""URLs that callers and redirects give: which are fetched, and what may be said of them."""

from __future__ import annotations

import contextlib
from typing import Final

import httpx

from core.errors import BadRequest, ServiceError, UpstreamError

MAX_URL_LENGTH = 8192  # characters; signed URLs of the large clouds have up to about 2000
PORTS: Final = {"http": 80, "https": 443}


def describe_url(url: str) -> str:
    """Gives what a log may say of a URL: scheme, host and port; paths and queries may hold keys."""
    with contextlib.suppress(httpx.InvalidURL, ValueError):
        parsed = httpx.URL(url)
        return f"{parsed.scheme}://{parsed.netloc.decode('ascii', 'replace')}"
    return "(not a URL)"


def parse_url(text: str) -> httpx.URL:
    """Reads a URL and refuses what is never fetched, whatever its host.

    Raises:
        BadRequest: It is not a URL, or one that is refused.
    """
    if len(text) > MAX_URL_LENGTH:
        raise BadRequest(f"the URL is longer than {MAX_URL_LENGTH} characters")
    try:
        return _check(httpx.URL(text.strip()))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise BadRequest("that is not a valid URL") from None


def _check(url: httpx.URL) -> httpx.URL:
    if url.scheme not in PORTS:
        raise BadRequest("only http and https URLs are fetched")
    if not url.raw_host:
        raise BadRequest("the URL has no host")
    if url.userinfo:
        raise BadRequest("a URL with a user name or password is not fetched")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise BadRequest("the URL's port is not between 1 and 65535")
    return url


def redirected(url: httpx.URL, location: str) -> httpx.URL:
    """Finds where a redirect leads.

    Args:
        url: What was asked for.
        location: The header of that name, empty where there is none.

    Raises:
        BadRequest: To a URL that is refused, or from https to http.
        UpstreamError: Nowhere.
    """
    if not location or len(location) > MAX_URL_LENGTH:
        raise UpstreamError("the server of the audio redirects to nowhere")
    try:
        target = _check(url.join(location))
    except ServiceError:
        raise
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise UpstreamError("the server of the audio redirects to something that is not a URL") from None
    if url.scheme == "https" and target.scheme == "http":
        raise BadRequest("a redirect from https to http is not followed")
    return target
