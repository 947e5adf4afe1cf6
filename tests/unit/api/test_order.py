"""The order on every route: key, room, body, decode."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answers import Answers
from api.app import build_app
from api.methods import MODELS_BY_PATH, TypedMethodsMiddleware
from core.errors import BadRequest, TooManyRequests
from core.settings import Settings
from models.messages import SceneEntry
from storage.cache import open_cache
from tasks import voice_deepfake
from tasks.questions import questions
from tasks.run import Context
from tests.support.queued import known
from tests.support.served import KEY
from tests.unit.scheduling.test_shedding import Runner, bundle, fill, let_through

pytestmark = pytest.mark.anyio

KEYED = ["/api/voice-detection", "/v1/voice-detection", "/ui/ask/ai-voice"]
ROUTES = [
    "/api/detect-gender", "/api/gender", "/predict", "/upload_audio", *KEYED, "/v1/voice-gender", "/v1/face-gender",
    "/v1/heart-sound", "/ui/ask/voice-gender", "/ui/ask/face-gender", "/ui/ask/heart-sound", "/ui/ask/audio-scene",
]  # fmt: skip


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def answers(runner: Runner, threads: ThreadPoolExecutor, tmp_path: Path) -> Answers:
    """Everything but runners: one stand-in for all, which can be held up."""
    cache = open_cache(None, tmp_path, SceneEntry, namespace="audio-scene", ttl_s=60)
    return Answers(replace(bundle(runner, threads), settings=Settings(api_key=KEY), cache=cache))


def app_of(path: str, answers: Answers) -> ASGIApp:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        pytest.fail("it was asked")

    if path in MODELS_BY_PATH:
        return TypedMethodsMiddleware(never, lambda: answers)
    app = build_app()
    app.state.answers = answers
    return app


async def ask(app: ASGIApp, path: str, body: bytes | None, *headers: tuple[bytes, bytes]) -> tuple[int, dict[str, Any]]:
    """Sends a request, whose body may not be read where there is none; gives status and answer."""
    sent: list[Message] = []

    async def receive() -> Message:
        if body is None:
            pytest.fail("the body was read")
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": list(headers)}
    async with asyncio.timeout(20):
        await app(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


@pytest.mark.parametrize("path", ROUTES)
async def test_without_room_no_body_is_read(path: str, answers: Answers, runner: Runner) -> None:
    tasks = await fill([model.queue for model in answers.context.models.values()], runner)
    app = app_of(path, answers)
    kind = b"audio/flac" if path.startswith(("/ui", "/upload")) else b"multipart/form-data; boundary=x"
    status, said = await ask(app, path, None, (b"content-type", kind), (b"x-api-key", KEY.encode()))
    assert (status, said["status"]) == (429, "error")
    if path in KEYED:  # the key comes before that
        assert (await ask(app, path, None, (b"content-type", kind)))[0] == 403
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_a_known_address_waits_for_no_room(answers: Answers, runner: Runner, threads: ThreadPoolExecutor) -> None:
    """Neither for a thread, all of which decode, nor for room."""
    context, url, later = answers.context, "http://known.example/a.flac", threading.Event()

    async def known() -> SceneEntry:
        return SceneEntry(duration=1.0, sample_rate=8000, channels=1, classification="music", model="audio_scene:1")

    await context.cache.get_or_compute(url, known, version="audio_scene:1")
    tasks = await fill([context.models["audio_scene"].queue], runner)
    threads.submit(later.wait, 60)
    try:
        for padding in (0, 10_000):
            body = json.dumps({"audio_url": url, "more": "x" * padding}).encode()
            status, said = await ask(app_of("", answers), "/analyze-audio", body)
            assert (status, said["data"]["classification"]) == (200, "music")
        other = json.dumps({"audio_url": "http://unknown.example/"}).encode()
        assert (await ask(app_of("", answers), "/analyze-audio", other))[0] == 429
    finally:
        later.set()
        runner.open.set()
        await asyncio.gather(*tasks)
        await context.cache.aclose()


async def test_a_large_body_is_parsed_only_where_there_is_room(answers: Answers, runner: Runner) -> None:
    """Room that was there before it was read may have gone meanwhile."""
    context = answers.context
    tasks: list[asyncio.Task[Any]] = []
    sent: list[Message] = []

    async def receive() -> Message:
        tasks.extend(await fill([model.queue for model in context.models.values()], runner))
        return {"type": "http.request", "body": b"no JSON" + bytes(1 << 17), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"x-api-key", KEY.encode())]
    path = "/api/voice-detection"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    await app_of(path, answers)(scope, receive, send)
    assert sent[0]["status"] == 429
    runner.open.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("value", ["[]", "{}", "1", '""'])
async def test_a_body_of_a_million_values_is_not_parsed(answers: Answers, value: str) -> None:
    """Of 32 MiB of ``[],`` a parser makes 1.2 GB."""
    body = ('{"audio_url": [' + ",".join([value] * (1 << 20)) + "]}").encode()
    status, said = await ask(app_of("", answers), "/analyze-audio", body)
    assert status == 400
    assert "values" in said["message"]


@pytest.mark.parametrize("work", ["api.bodies._parse", "tasks.decoding.decode_base64_audio"])
async def test_large_bodies_are_parsed_and_decoded_one_at_a_time(
    answers: Answers, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither lets another thread run, so that the event loop would wait for as many as there are threads."""
    at_once: list[int] = []
    under_way = 0

    def slow(*args: object) -> bytes:
        nonlocal under_way
        under_way += 1
        at_once.append(under_way)
        time.sleep(0.05)
        under_way -= 1
        raise BadRequest("no sound")

    monkeypatch.setattr(work, slow)
    monkeypatch.setattr(Context, "ensure_room", lambda *args: None)
    text = base64.b64encode(bytes(1 << 17)).decode()
    body = json.dumps({"language": "Tamil", "audioFormat": "mp3", "audioBase64": text}).encode()
    key = (b"x-api-key", KEY.encode())
    with ThreadPoolExecutor(4) as threads:
        several = Answers(replace(answers.context, threads=threads))
        app = app_of("/api/voice-detection", several)
        asked = [ask(app, "/api/voice-detection", body, key) for _ in range(4)]
        assert [status for status, _ in await asyncio.gather(*asked)] == [400] * 4
    assert at_once == [1] * 4


async def test_a_recording_in_base64_counts_while_it_is_decoded(answers: Answers, runner: Runner) -> None:
    """The request behind must not be admitted because it is not yet in the queue of a model."""
    context, later = answers.context, threading.Event()
    queues = [context.models[name].queue for name in voice_deepfake.MEMBERS]
    await let_through(queues, runner)
    context.threads.submit(later.wait, 60)
    text = base64.b64encode(b"no sound").decode()
    first = asyncio.create_task(context.answer_base64(questions()["ai-voice"], text))
    await asyncio.sleep(0)
    try:
        with pytest.raises(TooManyRequests):
            await context.answer_base64(questions()["ai-voice"], text)
    finally:
        later.set()
        await asyncio.gather(first, return_exceptions=True)


async def test_models_that_answer_together_make_one_reservation(answers: Answers, runner: Runner) -> None:
    """Whichever of them is busy: a caller that was told a time by one has no reservation at the next."""
    context, (first, *_, last) = answers.context, voice_deepfake.MEMBERS
    busy = context.models[last].queue
    tasks = await fill([busy], runner)
    known(busy, 20.0)  # seconds for one item

    def told(ask: Callable[[], None]) -> float:
        with pytest.raises(TooManyRequests) as refused:
            ask()
        return refused.value.retry_after or 0.0

    together = [told(lambda: context.ensure_room(*voice_deepfake.MEMBERS)) for _ in range(3)]
    assert together == sorted(set(together))
    assert told(busy.ensure_room) == together[0]  # nothing was reserved there
    assert told(lambda: context.models[first].queue.ensure_room(*busy.outlook_s)) > together[-1]
    runner.open.set()
    await asyncio.gather(*tasks)
