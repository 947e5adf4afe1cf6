"""How the typed methods let requests in, and how they read their input."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.methods import ANSWERS, KEYED, MODELS_BY_PATH, UNIFORM, AddressBody, JsonBody, TypedMethods, VoiceBody
from api.middleware.dispatch import SCHEMA, Dispatch
from core.errors import BadRequest, UnsupportedMedia
from runners import all_runners
from tasks import names
from tasks.questions import questions
from tasks.voice_deepfake import MEMBERS
from tests.unit.scheduling.test_shedding import Runner, bundle

pytestmark = pytest.mark.anyio

VOICE = {"language": "Tamil", "audioFormat": "mp3", "audioBase64": "QUJD"}
PATHS: dict[type[JsonBody], str] = {AddressBody: "/v1/audio-scene", VoiceBody: KEYED}


class Answers:
    """What a request carries, as far as reading needs it."""

    def __init__(self) -> None:
        self.context = bundle(Runner(), None)  # type: ignore[arg-type]  # a small body needs no thread


def request(kind: type[JsonBody], body: object, content_type: bytes = b"application/json") -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    headers = [(b"content-type", content_type)]
    scope = {"type": "http", "method": "POST", "path": PATHS[kind], "headers": headers, ANSWERS: Answers()}
    return Request(scope, receive)


@pytest.mark.parametrize(
    ("kind", "body"), [(AddressBody, {"audio_url": "http://a.example/b.mp3"}), (VoiceBody, {"request": VOICE})]
)
async def test_a_body_is_read(kind: type[JsonBody], body: dict[str, Any]) -> None:
    read = await kind.from_http_request(request(kind, body), None)
    assert isinstance(read, BaseModel)
    assert read.model_dump(mode="json") == body


@pytest.mark.parametrize("body", [{}, [], "x", {"request": {**VOICE, "language": "Latin"}}, {"audio_url": 1}])
@pytest.mark.parametrize("kind", PATHS)
async def test_another_body_is_a_bad_request(kind: type[JsonBody], body: object) -> None:
    """A failure of ours and not of Pydantic's: BentoML logs the trace of every other one."""
    with pytest.raises(BadRequest):
        await kind.from_http_request(request(kind, body), None)


async def test_another_content_type_is_refused() -> None:
    with pytest.raises(UnsupportedMedia, match="application/json"):
        await VoiceBody.from_http_request(request(VoiceBody, {"request": VOICE}, b"text/plain"), None)


def test_every_method_says_which_models_it_asks() -> None:
    routes = {made.route for made in vars(TypedMethods).values() if hasattr(made, "route")}
    assert set(MODELS_BY_PATH) == {route for route in routes if not route.startswith(UNIFORM)}
    assert routes - set(MODELS_BY_PATH) == {f"{UNIFORM}{name}" for name in questions()}
    assert MODELS_BY_PATH[KEYED] == MEMBERS
    assert {name: question.models for name, question in questions().items()} == names.MODELS_BY_QUESTION
    assert {name for names in MODELS_BY_PATH.values() for name in names} == set(all_runners())


async def test_the_document_of_bentomls_clients_is_made_once() -> None:
    """To make it holds up the event loop for 30 ms."""
    made = 0

    async def bentoml(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal made
        made += 1
        status = 200 if scope["method"] == "GET" and made > 1 else 503
        await Response(b'{"routes": []}', status, media_type="application/json")(scope, receive, send)

    app = Dispatch(bentoml, http_app=lambda: pytest.fail("it is not answered there"), methods=[])

    async def ask(method: str) -> tuple[int, bytes, dict[bytes, bytes]]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await app({"type": "http", "method": method, "path": SCHEMA, "headers": []}, no_body, send)
        return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])

    assert (await ask("GET"))[0] == 503  # which is not kept
    first = await ask("GET")
    assert first[:2] == (200, b'{"routes": []}')
    assert (await ask("POST"))[0] == 503
    assert [await ask("GET") for _ in range(3)] == [first] * 3
    assert made == 3


async def no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
