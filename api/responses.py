"""What is answered: the media type that a client wants, and the one place that turns failures into answers.

The ``Accept`` header is read as far as it matters here (RFC 9110, section 12.5.1). Failures have the shape of
docs/contract.md, Errors.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.errors import InternalError, ServiceError
from core.request import CURRENT


class Wish(NamedTuple):
    """How much a client wants a media type; the larger one is wanted more.

    Attributes:
        quality: That of the most specific range that matches, 0 to 1; 0 when none does.
        specificity: 2 where the type itself is named, 1 for its main type, 0 for any.
        precedence: The place of that range, counted from the end: what is named first is wanted first.
    """

    quality: float = 0.0
    specificity: int = 0
    precedence: int = 0


MAX_ACCEPT = 4096  # characters of the header that are looked at; browsers send some 200


def wish(accept: str, media_type: str) -> Wish:
    """How much a client wants a media type.

    Args:
        accept: Value of the header.
        media_type: Such as ``text/html``.
    """
    specificities = {media_type: 2, f"{media_type.split('/')[0]}/*": 1, "*/*": 0}
    found: dict[int, Wish] = {}
    for place, part in enumerate(accept[:MAX_ACCEPT].split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name in specificities:
            specificity = specificities[name]
            found[specificity] = Wish(_q(parameters), specificity, -place)
    best = found[max(found)] if found else Wish()
    return best if best.quality else Wish()


def preferred(accept: str, *offers: str) -> str:
    """The offer that a client wants most.

    Equal qualities are decided as the common content negotiators of Node do: a type named by itself goes before one
    that a wildcard admits, and then the one that is named first.

    Args:
        accept: Value of the header.
        *offers: Media types; the first one is answered where nothing speaks for another.
    """
    return max(offers, key=lambda offer: wish(accept, offer))


def prefers_html(accept: str) -> bool:
    """Whether a client would rather have a page than JSON.

    Of equal qualities, a page that is named goes before JSON that a wildcard admits: old browsers end their header with
    a bare ``*/*``. Where both are named alike, it is JSON.
    """
    page, data = wish(accept, "text/html"), wish(accept, "application/json")
    return (page.quality, page.specificity) > (data.quality, data.specificity)


def _q(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(1.0, max(0.0, float(parameter[2:])))
            except ValueError:
                return 0.0
    return 1.0


log = logging.getLogger("bundle.errors")

Fields = Callable[[str], dict[str, Any]]

# Paths whose reference has error fields of its own, which stand beside the contract's own.
_OWN_FIELDS: dict[str, Fields] = {}

# What is said of statuses that the framework itself answers with.
_WORDS = {
    404: "there is nothing at this address; /docs lists the routes",
    405: "this address does not take this method; /docs lists the routes",
}


def own_fields(*paths: str) -> Callable[[Fields], Fields]:
    """Registers the error fields of a reference for its paths."""

    def register(fields: Fields) -> Fields:
        _OWN_FIELDS.update(dict.fromkeys(paths, fields))
        return fields

    return register


def error_response(status: int, message: str, *, path: str = "", retry_after: float | None = None) -> JSONResponse:
    """An answer in the contract's error shape.

    Args:
        status: HTTP status.
        message: What is wrong, for the caller.
        path: The request's path, for the fields of its reference.
        retry_after: Seconds for the ``Retry-After`` header.
    """
    state = CURRENT.get()
    body: dict[str, Any] = {"status": "error", "message": message, "request_id": state.id if state else ""}
    if path in _OWN_FIELDS:
        body |= _OWN_FIELDS[path](message)
    headers = {} if retry_after is None else {"retry-after": str(max(1, math.ceil(retry_after)))}
    return JSONResponse(body, status, headers)


def to_response(error: Exception, path: str = "") -> JSONResponse:
    """The answer to a failure; what is not a ``ServiceError`` is logged and answered without details."""
    if isinstance(error, HTTPException):
        message = _WORDS.get(error.status_code) or str(error.detail) or HTTPStatus(error.status_code).phrase
        response = error_response(error.status_code, message, path=path)
        response.headers.update({k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"})
        return response
    if isinstance(error, ServiceError):
        if error.status >= 500:
            log.warning("%s: %s", type(error).__name__, error.message, exc_info=error.__cause__)
        return error_response(error.status, error.message, path=path, retry_after=error.retry_after)
    log.error("unexpected failure", exc_info=error)
    return error_response(InternalError.status, "the server failed on this request", path=path)


def error_body(error: Exception) -> dict[str, Any]:
    """The body of the answer to a failure, for a message or an entry of its own."""
    body: dict[str, Any] = json.loads(bytes(to_response(error).body))
    return body


async def handle(request: Request, error: Exception) -> Response:
    """The same, as FastAPI calls it."""
    return to_response(error, request.url.path)
