"""How the native methods read their input."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from _bentoml_impl.serde import JSONSerde, Payload
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Message

from api.native import AddressBody, JsonBody, VoiceBody

pytestmark = pytest.mark.anyio

VOICE = {"language": "Tamil", "audioFormat": "mp3", "audioBase64": "QUJD"}


def request(body: object) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


class Noting(JSONSerde):  # type: ignore[misc]  # BentoML gives no type
    """BentoML's, but that it remembers in which thread it works."""

    thread = 0

    def deserialize_model(self, payload: Payload, cls: type[Any]) -> Any:
        self.thread = threading.get_ident()
        return super().deserialize_model(payload, cls)


@pytest.mark.parametrize(
    ("kind", "body"), [(AddressBody, {"audio_url": "http://a.example/b.mp3"}), (VoiceBody, {"request": VOICE})]
)
async def test_a_large_body_does_not_hold_up_the_others(kind: type[JsonBody], body: dict[str, Any]) -> None:
    serde = Noting()
    read = await kind.from_http_request(request(body), serde)
    assert read.model_dump(mode="json") == body
    assert serde.thread not in {0, threading.get_ident()}


@pytest.mark.parametrize("body", [{}, [], "x", {"request": {**VOICE, "language": "Latin"}}, {"audio_url": 1}])
@pytest.mark.parametrize("kind", [AddressBody, VoiceBody])
async def test_another_body_is_told_what_is_wrong(kind: type[JsonBody], body: object) -> None:
    with pytest.raises(ValidationError):
        await kind.from_http_request(request(body), JSONSerde())
