"""What every error must look like (docs/contract.md, Errors)."""

from __future__ import annotations

import sys
from typing import Any

import httpx

from tests.support.served import KEY, ROOT, SECOND_KEY

SECRETS = ("Traceback", 'File "', "site-packages", "/tmp/", "/proc/", "/etc/", KEY, SECOND_KEY, str(ROOT), sys.prefix)


def assert_error(response: httpx.Response, status: int, words: str = "") -> dict[str, Any]:
    """Checks an error answer against the contract.

    Args:
        response: The answer.
        status: What it should be.
        words: Part of the message that is expected.

    Returns:
        The body.
    """
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    assert body["status"] == "error"
    assert isinstance(body["message"], str)
    assert body["message"]
    assert words.lower() in body["message"].lower()
    assert body["request_id"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert not [secret for secret in SECRETS if secret in response.text]
    if status in {429, 503}:
        assert int(response.headers["retry-after"]) >= 1
    return body
