"""From failures to answers: the one place where it happens."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

import api.routes.face_gender  # noqa: F401 - registers the fields of its reference
from api.methods import TypedMethodsMiddleware
from api.responses import error_response, to_response
from core import errors
from core.request import CURRENT, RequestState

STATUSES = {
    "BadRequest": 400, "Forbidden": 403, "NotFound": 404, "PayloadTooLarge": 413, "UnsupportedMedia": 415,
    "Unprocessable": 422, "TooManyRequests": 429, "InternalError": 500, "UpstreamError": 502, "Unavailable": 503,
    "TimedOut": 504, "InsufficientStorage": 507,
}  # fmt: skip


def body(response: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.body)
    return found


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_every_error_has_its_status(name: str, status: int) -> None:
    """The contract lists them (docs/contract.md, Errors)."""
    response = to_response(getattr(errors, name)("words", retry_after=None))
    assert response.status_code == status
    assert body(response) == {"status": "error", "message": "words", "request_id": ""}


def test_all_errors_are_in_the_table() -> None:
    assert {error.__name__ for error in errors.ServiceError.__subclasses__()} == set(STATUSES)


def test_an_unexpected_failure_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    """The contract: 500 for a failure of the server; the log has the trace."""
    with caplog.at_level(logging.ERROR):
        response = to_response(OSError("/secret/path is full"))
    assert response.status_code == 500
    assert "secret" not in bytes(response.body).decode()
    assert "secret" in caplog.text


@pytest.mark.parametrize(("seconds", "header"), [(0.2, "1"), (3, "3"), (3.1, "4")])
def test_retry_after_is_whole_seconds(seconds: float, header: str) -> None:
    assert to_response(errors.Unavailable("down", retry_after=seconds)).headers["retry-after"] == header


def test_what_the_framework_raises_has_the_same_shape() -> None:
    response = to_response(HTTPException(405, headers={"Allow": "POST", "X-Other": "1"}))
    assert response.status_code == 405
    assert body(response)["status"] == "error"
    assert response.headers["allow"] == "POST"
    assert "x-other" not in response.headers


def test_the_request_id_is_in_the_body() -> None:
    token = CURRENT.set(RequestState("id-7"))
    response = error_response(400, "words")
    CURRENT.reset(token)
    assert body(response)["request_id"] == "id-7"


@pytest.mark.parametrize("path", ["/api/gender", "/predict"])
def test_a_reference_has_its_own_fields_beside(path: str) -> None:
    found = body(to_response(errors.BadRequest("words"), path))
    assert found == {"status": "error", "message": "words", "request_id": "", "success": False, "error": "words"}


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (500, b'{"error": "Traceback: /secret"}', "the server failed"),
        (400, b'[{"error": "1 error", "detail": [{"loc": ["request", "language"], "msg": "wrong"}]}]',
         "request.language: wrong"),
        (400, b'{"error": "no such thing"}', "no such thing"), (405, b"Method Not Allowed", "Method Not Allowed"),
        (400, b"", "the request is wrong"), (400, b"[]", "the request is wrong"), (400, b"3", "the request is wrong"),
    ],
)  # fmt: skip
@pytest.mark.anyio
async def test_what_bentoml_says_is_put_into_words(status: int, said: bytes, words: str) -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(said, status)(scope, receive, send)

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        pytest.fail("the body was read")

    methods = TypedMethodsMiddleware(refusing, lambda: pytest.fail("it was asked"))
    await methods({"type": "http", "method": "POST", "path": "/v1/other"}, receive, send)
    start, rest = sent
    assert start["status"] == status
    message = json.loads(rest["body"])["message"]
    assert words in message
    assert "secret" not in message
