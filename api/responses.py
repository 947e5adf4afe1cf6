"""The one place that turns failures into answers, in the shape of docs/contract.md, Errors."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.errors import InternalError, ServiceError
from core.request import CURRENT

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
