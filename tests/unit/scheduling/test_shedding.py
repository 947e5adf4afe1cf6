"""A full queue refuses at no cost to others; a request whose caller has gone never reaches a model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from starlette.types import Receive, Scope, Send

from api.answers import Answers
from api.middleware.limits import Limits
from core.errors import BadRequest, TooManyRequests
from core.memory import Budget
from core.request import CURRENT, RequestState
from core.settings import Settings
from media.containers import UNKNOWN
from media.pcm import PcmFormat
from models import registry
from models.messages import InferenceRequest, InferenceResult
from scheduling.queue import Model, ModelQueue
from tasks import voice_deepfake
from tasks.questions import questions
from tasks.run import Context
from tests.support.audio_bytes import tone, wav
from tests.support.queued import Client, known, one_by_one, settle

pytestmark = pytest.mark.anyio

NOT_MEDIA = b"neither sound nor picture"


class Runner:
    """Answers when it is let; remembers how much it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.open = asyncio.Event()

    async def __call__(self, requests: Sequence[InferenceRequest]) -> list[InferenceResult]:
        self.asked.append(len(requests))
        await self.open.wait()
        return [InferenceResult(model="m:1", probabilities=[1.0]) for _ in requests]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def bundle(runner: Runner, threads: ThreadPoolExecutor, max_queue_wait_s: float = 0.0) -> Context:
    """All models behind one runner, and nothing of the rest."""
    nothing: Any = None
    models = {
        name: Model(
            spec, Client(f"{name}:1"), ModelQueue(name, runner, bounds=one_by_one, max_queue_wait_s=max_queue_wait_s)
        )
        for name, spec in registry.specs().items()
    }
    return Context(Settings(), models, threads, fetcher=nothing, cache=nothing, latest=nothing, redis=None)


def ask(context: Context, name: str) -> Awaitable[object]:
    """Asks one question about what is not even media."""
    return context.answer(questions()[name], NOT_MEDIA)


def upload(context: Context, data: bytes, declared: str) -> Awaitable[object]:
    return Answers(context).heart_upload(data, declared, PcmFormat(), 10.0)


QUESTIONS: dict[str, Callable[[Context], Awaitable[object]]] = {
    "voice gender": lambda context: ask(context, "voice-gender"),
    "face gender": lambda context: ask(context, "face-gender"),
    "heart sound": lambda context: ask(context, "heart-sound"),
    "raw heart sound": lambda context: upload(context, bytes(3), UNKNOWN),
    "audio scene": lambda context: ask(context, "audio-scene"),
    "AI voice": lambda context: ask(context, "ai-voice"),
    "AI voice in base64": lambda context: context.answer_base64(questions()["ai-voice"], "no base64!", "wav"),
    "heart sound in a file": lambda context: upload(context, NOT_MEDIA, "wav"),
}


async def let_through(queues: Sequence[ModelQueue], runner: Runner) -> None:
    """Teaches queues their throughput."""
    runner.open.set()
    await asyncio.gather(*(queue.submit(np.zeros(1, np.float32)) for queue in queues))
    runner.open.clear()


async def fill(queues: Sequence[ModelQueue], runner: Runner) -> list[asyncio.Task[InferenceResult]]:
    """Teaches queues their throughput, and gives each work that does not end before the runner is let."""
    await let_through(queues, runner)
    tasks = [asyncio.create_task(queue.submit(np.zeros(1, np.float32))) for queue in queues]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_request_is_refused_before_it_is_decoded(question: str, threads: ThreadPoolExecutor) -> None:
    """What is not even media would get 400 if it had been decoded."""
    runner = Runner()
    context = bundle(runner, threads)
    with pytest.raises(BadRequest):
        await QUESTIONS[question](context)
    tasks = await fill([model.queue for model in context.models.values()], runner)
    with pytest.raises(TooManyRequests) as refused:
        await QUESTIONS[question](context)
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_a_request_is_admitted_once(threads: ThreadPoolExecutor) -> None:
    """What came to the queue while its body was read is no reason to refuse it, where a new request is refused."""
    runner = Runner()
    context = bundle(runner, threads, max_queue_wait_s=10.0)
    queue = context.models["voice_gender"].queue
    await let_through([queue], runner)
    known(queue, 6.0)  # seconds for one item
    first, second = RequestState("first"), RequestState("second")
    CURRENT.set(first)
    context.ensure_room("voice_gender")
    tasks = [asyncio.create_task(queue.submit(np.zeros(1, np.float32))) for _ in range(2)]
    await settle()
    context.ensure_room("voice_gender")
    CURRENT.set(second)
    with pytest.raises(TooManyRequests):
        context.ensure_room("voice_gender")
    tasks.append(asyncio.create_task(queue.submit(np.zeros(1, np.float32))))
    await settle()
    CURRENT.set(first)
    with pytest.raises(TooManyRequests, match="more waiting") as refused:  # more than half as long again as was allowed
        context.ensure_room("voice_gender")
    assert (refused.value.retry_after or 0) >= 18 - 0.7 * 10
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_a_request_is_refused_before_anything_is_downloaded(threads: ThreadPoolExecutor) -> None:
    """There is not even anything here that could download."""
    runner = Runner()
    context = bundle(runner, threads)
    tasks = await fill([context.models["audio_scene"].queue], runner)
    with pytest.raises(TooManyRequests):
        await context.answer_url(questions()["audio-scene"], "http://host.example/clip.wav")
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_a_burst_is_refused_while_it_is_still_decoded(threads: ThreadPoolExecutor) -> None:
    """What comes first is not in the queue yet; a request behind it must not be refused only at its turn."""
    runner, later = Runner(), threading.Event()
    context = bundle(runner, threads, max_queue_wait_s=10.0)
    queues = [model.queue for model in context.models.values()]
    await let_through(queues, runner)
    for queue in queues:
        known(queue, 20.0)  # seconds for one item
    first = asyncio.create_task(
        context.decoder.timed("voice_deepfake", "audio", lambda: later.wait(10), 1, then=voice_deepfake.MEMBERS)
    )
    await asyncio.sleep(0)
    try:
        with pytest.raises(TooManyRequests):
            await ask(context, "ai-voice")
        with pytest.raises(BadRequest):
            await ask(context, "voice-gender")
    finally:
        later.set()
        await first
    with pytest.raises(BadRequest):
        await ask(context, "ai-voice")


async def test_a_request_is_refused_when_it_could_not_be_decoded_in_time(threads: ThreadPoolExecutor) -> None:
    """Though its model has nothing to do: the threads are shared by all."""
    context, later = bundle(Runner(), threads, max_queue_wait_s=10.0), threading.Event()
    context.decoding.note("image", 6.0, 1000)  # seconds for one
    work = [context.decoder.timed("face_gender", "image", lambda: later.wait(10), 1000) for _ in range(2)]
    tasks = [asyncio.create_task(piece) for piece in work]
    await asyncio.sleep(0)
    try:
        with pytest.raises(TooManyRequests):
            await ask(context, "voice-gender")
    finally:
        later.set()
        await asyncio.gather(*tasks)
    with pytest.raises(BadRequest):
        await ask(context, "voice-gender")


async def test_a_refusal_waits_for_nothing() -> None:
    """Not even one turn of the event loop: the first step of the call raises."""
    runner = Runner()
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=0.0)
    tasks = await fill([queue], runner)
    asked = len(runner.asked)
    with pytest.raises(TooManyRequests):
        queue.submit(np.zeros(1, np.float32)).send(None)
    runner.open.set()
    await asyncio.gather(*tasks)
    assert len(runner.asked) == asked


async def test_the_stated_waiting_time_grows_with_what_waits() -> None:
    runner = Runner()
    queue = ModelQueue("m", runner, bounds=one_by_one, max_queue_wait_s=0.0)
    tasks = await fill([queue], runner)
    known(queue, 10.0)  # seconds for one item: the throughput of a large model, known without waiting for it
    stated = []
    for _ in range(3):
        with pytest.raises(TooManyRequests) as refused:
            await queue.submit(np.zeros(1, np.float32))
        stated.append(refused.value.retry_after)
        tasks.append(asyncio.create_task(queue.submit(np.zeros(1, np.float32), admitted=True)))
        await asyncio.sleep(0)
    # Behind what waits, and behind those who were told before: each of these adds 10 s.
    assert stated == [10, 30, 50]
    runner.open.set()
    await asyncio.gather(*tasks)


async def test_work_whose_time_limit_has_passed_never_reaches_the_model() -> None:
    """One request is under way, the next waits behind it until its time is up: 504, and the model never hears of it."""
    runner = Runner()
    queue = ModelQueue("m", runner, bounds=one_by_one)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await queue.submit(np.zeros(1, np.float32))

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.sleep(3600)

    first = asyncio.create_task(queue.submit(np.zeros(1, np.float32)))
    await asyncio.sleep(0)
    scope: Scope = {"type": "http", "path": "/", "headers": []}
    await Limits(app, max_body_bytes=1, timeout_s=0.02, budget=Budget(1000))(scope, receive, send)
    assert sent[0]["status"] == 504
    runner.open.set()
    await first
    await queue.submit(np.zeros(1, np.float32))
    assert runner.asked == [1, 1]


async def test_decoding_leaves_the_event_loop_free(threads: ThreadPoolExecutor) -> None:
    """While a recording of minutes is decoded, others are served: the loop goes on turning."""
    file = wav(tone(48_000, 120.0), 48_000)
    context = bundle(Runner(), threads)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    question = questions()["audio-scene"]
    with context.asker.recording(question) as recording:
        decoded = await context.decoder.audio(question, file, recording)
    turning.cancel()
    assert decoded.duration_s == pytest.approx(120.0)
    assert turns > 100


async def test_one_slow_decoding_does_not_hold_up_others(threads: ThreadPoolExecutor) -> None:
    """It ends only when another one, asked for later, has been answered."""
    context, later = bundle(Runner(), threads), threading.Event()
    slow = asyncio.create_task(context.decoder.timed("m", "audio", lambda: later.wait(60), 1))
    await context.decoder.timed("m", "audio", later.set, 1)
    assert await slow
