"""Pages of other origins that call a server in a private network."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.middleware.cors import Cors

ALLOW = b"access-control-allow-private-network"


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    pytest.fail("a preflight goes no further")


def preflight(origins: list[str], origin: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = {
        "origin": origin, "access-control-request-method": "POST", "access-control-request-private-network": "true",
    }  # fmt: skip
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    app = Cors(never, allow_origins=origins, allow_methods=["POST"])
    asyncio.run(app({"type": "http", "method": "OPTIONS", "path": "/", "headers": raw}, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize("origins", [["*"], ["https://a.example", "https://b.example"]])
def test_an_origin_that_may_call_may_do_so_from_the_internet(origins: list[str]) -> None:
    status, headers, _ = preflight(origins, "https://a.example")
    assert (status, headers[ALLOW]) == (200, b"true")
    assert headers[b"access-control-allow-origin"].decode() in {"*", "https://a.example"}


def test_another_origin_may_not() -> None:
    status, headers, body = preflight(["https://a.example"], "https://c.example")
    assert (status, ALLOW in headers) == (400, False)
    assert json.loads(body)["message"] == "Disallowed CORS origin"
