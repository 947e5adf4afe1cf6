"""What keys of callers use, and which addresses ask for one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from api.answers import Answers
from api.app import build_app
from api.asked import UNDER, question_of
from api.auth import Keys
from api.guard import Guard, Quotas
from api.methods import MODELS_BY_PATH
from api.middleware.dispatch import Dispatch
from api.routes import routers
from api.ui.routes import router as playground
from core.errors import PayloadTooLarge, TooManyRequests, Unavailable
from core.settings import Settings
from storage.keys import REFRESH_S, CallerKey, KeyFile, KnownKeys, hash_key
from storage.redis_client import RedisClient, StoreUnavailable
from tasks import names
from tests.support.caller_keys import command
from tests.support.redis_server import RedisServer
from tests.unit.scheduling.test_shedding import Runner, bundle

pytestmark = pytest.mark.anyio


def key(**quotas: int) -> CallerKey:
    return CallerKey(name="lab", sha256=hash_key("x"), **quotas)


@asynccontextmanager
async def quotas_in(redis_url: object) -> AsyncIterator[Quotas]:
    """Counts in a Redis, or where there is none in memory."""
    redis = RedisClient(str(redis_url)) if redis_url else None
    yield Quotas(redis)
    if redis is not None:
        await redis.aclose()


@pytest.fixture
async def quotas(store: str) -> AsyncIterator[Quotas]:
    async with quotas_in(Settings().redis_url) as made:
        yield made


async def test_what_is_refused_is_not_counted(quotas: Quotas) -> None:
    mine = key(requests_per_minute=2, bytes_per_day=100)
    assert await quotas.spend(mine, "bytes", 60)
    assert not await quotas.spend(mine, "bytes", 60)
    assert not await quotas.spend(mine, "bytes", 1 << 40)
    assert await quotas.spend(mine, "bytes", 40)
    assert [await quotas.spend(mine, "requests") for _ in range(4)] == [True, True, False, False]
    standings = {one.name: one for one in await quotas.standings(mine)}
    assert (standings["requests"].left, standings["requests"].quota, standings["requests"].window_s) == (0, 2, 60)
    assert 0 < standings["requests"].reset_s <= 61
    assert (standings["bytes"].left, standings["bytes"].window_s) == (0, 86400)
    assert await quotas.spend(key(), "bytes", 1 << 40)  # no quota
    assert await quotas.standings(key()) == []


async def test_what_is_refused_beside_others_is_not_counted(quotas: Quotas) -> None:
    """Each of them finds room before one is counted."""
    for number in range(5):
        mine = CallerKey(name="many", sha256=hash_key(str(number)), bytes_per_day=100)
        answers = await asyncio.gather(*(quotas.spend(mine, "bytes", 60) for _ in range(8)))
        assert sum(answers) == 1
        assert (await quotas.standings(mine))[0].left == 40
        assert await quotas.spend(mine, "bytes", 40)


async def test_processes_that_share_a_redis_count_together(redis_server: RedisServer) -> None:
    mine = CallerKey(name="both", sha256=hash_key("both"), requests_per_minute=2)
    async with quotas_in(redis_server.url) as first, quotas_in(redis_server.url) as second:
        counted = [await one.spend(mine, "requests") for one in (first, second, first, second)]
    assert counted == [True, True, False, False]


async def test_without_its_redis_a_process_counts_for_itself() -> None:
    mine = key(requests_per_minute=1)
    async with quotas_in("redis://127.0.0.1:1/0") as quotas:
        assert [await quotas.spend(mine, "requests") for _ in range(2)] == [True, False]


class Broken(KeyFile):
    """A store that can be read once."""

    def __init__(self, keys: list[CallerKey]) -> None:
        self._left: list[list[CallerKey]] = [keys] if keys else []

    async def load(self) -> list[CallerKey]:
        if not self._left:
            raise StoreUnavailable("x")
        return self._left.pop()


async def test_the_last_keys_hold_while_the_store_is_down() -> None:
    now = 0.0
    known = KnownKeys(Broken([key()]), lambda: now)
    assert (await known.find("x")) == key()
    now = 2 * REFRESH_S
    assert (await known.find("x")) == key()
    with pytest.raises(Unavailable):
        await KnownKeys(Broken([])).find("x")


async def test_a_server_that_has_never_read_the_keys_is_not_ready(tmp_path: Path) -> None:
    """A new one would take the place of one that knows them, and refuse every caller."""
    store = tmp_path / "keys.json"
    store.write_text("damaged")
    app, guard = build_app(), Guard(Settings(key_store=str(store)))
    app.state.answers = Answers(bundle(Runner(), None))  # type: ignore[arg-type]  # nothing is decoded

    async def readiness() -> tuple[int, str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            response = await client.get("/readyz")
            return response.status_code, response.json().get("message", "")

    assert await readiness() == (200, "")  # without a store of keys
    app.state.guard = guard
    assert await readiness() == (503, "not ready: the keys of callers")
    store.write_text("[]")
    assert await readiness() == (200, "")
    store.write_text("damaged")
    assert await readiness() == (200, "")  # as the last keys hold
    await guard.aclose()


async def ask(
    app: Keys, path: str, secret: str, chunks: list[bytes], declared: bool = True, *, method: str = "POST"
) -> tuple[int, dict[str, str], bytes]:
    """Sends a request in chunks; gives status, headers and body."""
    sent: list[Message] = []
    left = list(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"x-api-key", secret.encode())]
    headers += (
        [(b"content-length", b"%d" % sum(map(len, chunks)))] if declared else [(b"transfer-encoding", b"chunked")]
    )
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent)


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def guard(store: str) -> AsyncIterator[Guard]:
    made = Guard(Settings(api_key="classic"))
    yield made
    await made.aclose()


async def test_answers_say_how_the_key_stands(store: str, guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    """The headers are those of the IETF draft; the body of a refusal has the shape of all errors."""
    assert command("add", "lab", "--requests-per-minute", "3", "--mb-per-day", str(1000 / 2**20)) == 0
    secret = capsys.readouterr().out.strip()
    app = Keys(reads_all, guard=lambda: guard)
    status, headers, _ = await ask(app, "/api/detect-gender", secret, [b"x" * 600])
    assert status == 200
    assert headers["ratelimit-policy"] == '"requests";q=3;w=60, "bytes";q=1000;w=86400;qu="content-bytes"'
    requests, amount = headers["ratelimit"].split(", ")
    assert requests.startswith('"requests";r=2;t=')
    assert amount.startswith('"bytes";r=400;t=')

    app.app = never
    status, headers, body = await ask(app, "/v1/voice-gender", secret, [b"x" * 600])  # 400 are left
    assert (status, json.loads(body)["status"]) == (429, "error")
    assert 1 <= int(headers["retry-after"]) <= 86400
    assert "ratelimit" in headers
    app.app = reads_all
    assert (await ask(app, "/upload_audio", secret, [b"x" * 100]))[0] == 200
    status, headers, body = await ask(app, "/upload_audio", secret, [b"x"])
    assert (status, "3 requests of this minute" in json.loads(body)["message"]) == (429, True)
    assert 1 <= int(headers["retry-after"]) <= 61


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    pytest.fail("it was asked")


async def test_a_body_of_unknown_length_is_counted_as_it_arrives(
    store: str, guard: Guard, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("add", "lab", "--mb-per-day", "1.5") == 0
    secret = capsys.readouterr().out.strip()
    app = Keys(reads_all, guard=lambda: guard)
    assert (await ask(app, "/upload_audio", secret, [b"x" * 1000] * 2, declared=False))[0] == 200
    with pytest.raises(TooManyRequests):  # what the applications and ``Limits`` turn into an answer
        await ask(app, "/upload_audio", secret, [bytes(1 << 19)] * 3, declared=False)
    status, headers, _ = await ask(app, "/upload_audio", secret, [b"x" * 1000])
    assert (status, '"bytes";r=' in headers["ratelimit"]) == (200, True)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("status", "counted"), [(429, 0), (503, 0), (400, 600), (413, 600), (504, 600)])
async def test_a_body_that_there_was_no_room_for_is_not_counted(
    store: str, guard: Guard, capsys: pytest.CaptureFixture[str], status: int, counted: int, declared: bool
) -> None:
    """Its caller sends it again, as the answer tells it to."""
    assert command("add", "lab", "--requests-per-minute", "5", "--mb-per-day", str(1000 / 2**20)) == 0
    secret = capsys.readouterr().out.strip()

    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        if not declared:
            await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    found = await ask(Keys(refuses, guard=lambda: guard), "/upload_audio", secret, [b"x" * 600], declared)
    assert found[1]["ratelimit"].startswith('"requests";r=4;')
    assert f'"bytes";r={1000 - counted};' in found[1]["ratelimit"]
    _, headers, _ = await ask(Keys(reads_all, guard=lambda: guard), "/upload_audio", secret, [b"x"])
    assert f'"bytes";r={999 - counted};' in headers["ratelimit"]


async def test_the_messages_of_a_stream_are_counted_whatever_length_it_declares(
    store: str, guard: Guard, capsys: pytest.CaptureFixture[str]
) -> None:
    """A WebSocket may declare a body of 0 bytes."""
    assert command("add", "lab", "--mb-per-day", "2") == 0
    headers = [(b"x-api-key", capsys.readouterr().out.strip().encode()), (b"content-length", b"0")]
    taken: list[Message] = []

    async def takes_all(scope: Scope, receive: Receive, send: Send) -> None:
        while len(taken) < 5:
            taken.append(await receive())

    async def receive() -> Message:
        return {"type": "websocket.receive", "bytes": bytes(1 << 20)}

    async def send(message: Message) -> None:
        pytest.fail("nothing is answered")

    scope = {"type": "websocket", "path": "/v1/stream/voice-gender", "query_string": b"", "headers": headers}
    with pytest.raises(TooManyRequests):
        await Keys(takes_all, guard=lambda: guard)(scope, receive, send)
    assert len(taken) == 2


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_no_day_has_room_for_is_too_large(
    store: str, guard: Guard, capsys: pytest.CaptureFixture[str], declared: bool
) -> None:
    """It was a 429 with a ``Retry-After``, as often as the caller came back."""
    assert command("add", "lab", "--mb-per-day", "0.5") == 0
    secret = capsys.readouterr().out.strip()
    app = Keys(reads_all, guard=lambda: guard)
    chunks = [bytes(1 << 18)] * 3
    if declared:
        status, headers, body = await ask(app, "/upload_audio", secret, chunks)
        assert (status, "524288 bytes" in json.loads(body)["message"]) == (413, True)
        assert "retry-after" not in headers
    else:
        with pytest.raises(PayloadTooLarge):
            await ask(app, "/upload_audio", secret, chunks, declared)
    assert (await ask(app, "/upload_audio", secret, [bytes(1 << 19)]))[0] == 200  # nothing of it was counted


async def test_a_classic_key_opens_voice_detection_alone(guard: Guard) -> None:
    app = Keys(reads_all, guard=lambda: guard)
    for path in ("/api/voice-detection", "/v1/voice-detection", "/ui/ask/ai-voice"):
        assert (await ask(app, path, "classic", [b"x"]))[0] == 200
        assert (await ask(app, path, "wrong", [b"x"]))[0] == 403
    assert (await ask(app, "/api/detect-gender", "classic", [b"x"]))[0] == 403


def every_path() -> set[str]:
    found = [route for router in (*routers(), playground) for route in router.routes]
    posts = {route.path for route in found if "POST" in getattr(route, "methods", ())}  # type: ignore[attr-defined]
    return posts | set(MODELS_BY_PATH)


@pytest.mark.parametrize("path", sorted(every_path()))
def test_every_address_that_takes_a_body_is_guarded(path: str) -> None:
    """A new route must say which question it asks, or the keys of the store would not guard it."""
    asked = path.replace("{question}", "voice-gender").replace("{name}", "voice-gender")
    assert question_of({"type": "http", "method": "POST", "path": asked, "headers": []}) in names.MODELS_BY_QUESTION


@pytest.mark.parametrize("path", ["/", *sorted(p for p in every_path() if not p.startswith(UNDER))])
async def test_an_address_that_ends_with_a_line_break_is_none(path: str) -> None:
    """Routes matched it, while the guard found no question in it: every question was answered without a key."""
    app = Dispatch(never, http_app=build_app, methods=[])
    guarded = Keys(app, guard=lambda: pytest.fail("no key is looked up"))
    assert (await ask(guarded, path + "\n", "", [b"x"], method="GET" if path == "/" else "POST"))[0] == 404


@pytest.mark.parametrize("path", ["/api/door_bell", "/v1/door-bell", "/v1/classify/door-bell", "/ui/ask/door-bell"])
def test_every_address_of_a_further_question_is_guarded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of its own route too, which nothing names but the route."""
    monkeypatch.setitem(names.FURTHER, "door-bell", ("door_bell",))
    assert question_of({"type": "http", "method": "POST", "path": path, "headers": []}) == "door-bell"


@pytest.mark.parametrize("path", ["/readyz", "/ui", "/docs.json", "/metrics", "/examples/voice.flac"])
def test_pages_and_health_need_no_key(path: str) -> None:
    assert question_of({"type": "http", "method": "GET", "path": path, "headers": []}) is None


def test_the_latest_heart_sound_needs_one_and_the_page_there_none() -> None:
    def asked(*accept: bytes) -> Any:
        headers = [(b"accept", one) for one in accept]
        return question_of({"type": "http", "method": "GET", "path": "/", "headers": headers})

    assert asked(b"application/json") == "heart-sound"
    assert asked(b"text/html,*/*;q=0.8") is None
    # Of several headers the route reads the first; by the last, it answered though no key had been asked for.
    assert asked(b"application/json", b"text/html") == "heart-sound"
