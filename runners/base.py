"""What all runners share: a predictor as a BentoML service, its batcher, and a process that ends after the API's.

A runner's port unpickles what it is sent (that is how BentoML services talk to one another): it is for the API service
alone, on a Unix socket, the loopback interface or an internal network.

The batcher is BentoML's without its waiting, and with several batches at once. For its first calls after every start
BentoML's holds a lone item back, to learn how a batch's time grows with its size, and later as long as it has seen
others wait. Where the model is busy, it polls every millisecond whether it still is. Batches gather in the API's queue.
In the runner an item is sent at the moment in which the model is free, with whatever has arrived in the meantime.
BentoML's also computes one batch at a time, where the engine has several streams.

The supervisor sends SIGTERM to all its processes at once. The API finishes what is in flight. Some of it reaches its
runner only after the signal: a recording that is still being downloaded or decoded, or that waits in the queue. So a
runner outlives the API process beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, ClassVar, NoReturn

import bentoml
from bentoml._internal.marshal import dispatcher
from bentoml.models import BentoModel
from bentoml.validators import ContentType

from core import metrics, tracing
from core.settings import get_settings
from core.trimming import trimmer
from engine.predictor import Predictor
from engine.select import streams
from models.messages import InferenceRequest, InferenceResult, ServedModel
from models.spec import ModelSpec
from models.store import Entry, WeightsError, tag_to_serve


class BatchSlots(dispatcher.NonBlockSema):
    """The slots of one batcher, one for each batch under way; each model has a batcher of its own.

    Attributes:
        most: How many there are, known once the models of this process are open: the most of any of them.
    """

    most: ClassVar[int] = 1

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._taken = 0
        self._freed = asyncio.Event()

    def acquire(self) -> bool:
        """Takes a slot, if one is free."""
        if self.is_locked():
            return False
        self._taken += 1
        return True

    def is_locked(self) -> bool:
        """Whether none is free."""
        return self._taken >= self.most

    def release(self) -> None:
        """Gives one back."""
        self._taken -= 1
        self._freed.set()

    async def wait(self) -> None:
        """Waits until one is free."""
        while self.is_locked():
            self._freed.clear()
            await self._freed.wait()


async def send_all(self: dispatcher.CorkDispatcher[Any, Any]) -> None:
    """Sends what waits, as soon as a slot is free; replaces BentoML's own loop."""
    while True:
        async with self._wake_event:
            await self._wake_event.wait_for(self._queue.__len__)
        await self._sema.wait()  # type: ignore[attr-defined]  # it is a ``BatchSlots``
        if inputs := tuple(self._get_inputs()):
            self._sema.acquire()  # type: ignore[no-untyped-call]
            self._loop.create_task(self.outbound_call(inputs))


def install_batcher() -> None:
    """Makes the batchers of this process, which BentoML makes when it serves, such as this module says."""
    dispatcher.NonBlockSema = BatchSlots  # type: ignore[misc]  # a class is replaced
    dispatcher.CorkDispatcher.controller = send_all  # type: ignore[method-assign]  # as is a method


API = "MediaClassifier"  # name of the service that asks the runners (``service.py``)
LOOK_EVERY_S = 0.1
RETRY_S = 10.0  # between two starts of a runner whose model cannot be served

_endings: set[asyncio.Task[None]] = set()


def outlive_api(at_most_s: float) -> None:
    """Puts off the end of this process until no API process of the same supervisor is left.

    To be called in the main thread, when the server has set its own handler of SIGTERM. Where there is no ``/proc``,
    or no API beside it (runners on a host of their own), nothing is put off.

    Args:
        at_most_s: Longest time (seconds).
    """
    end = signal.getsignal(signal.SIGTERM)
    if not callable(end) or threading.current_thread() is not threading.main_thread():
        return  # not a server's process: a test or a tool
    loop = asyncio.get_running_loop()
    supervisor = os.getppid()

    async def wait() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                while api_is_alive(supervisor):  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(LOOK_EVERY_S)
        end(signal.SIGTERM, None)

    def put_off(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(lambda: _endings.add(asyncio.ensure_future(wait())))

    signal.signal(signal.SIGTERM, put_off)


def api_is_alive(supervisor: int) -> bool:
    """Whether a child of the supervisor is an API process."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            arguments = (process / "cmdline").read_text().split("\0")
            if parent == supervisor and arguments[arguments.index("--service-name") + 1] == API:
                return True
    return False


def give_up() -> NoReturn:
    """Ends a process that cannot serve, without the stack trace that every exception of a start becomes.

    The supervisor starts it again at once, which costs seconds of processor time; so this waits first.
    """
    logging.shutdown()
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(RETRY_S)
    os._exit(1)


log = logging.getLogger("bundle.runner")

# BentoML's batcher merges what several API workers send up to this many items; the predictor cuts them to its budget.
LARGEST_BATCH = 1024

install_batcher()

# Without its content type, BentoML works out the JSON schema of the type anew for every single answer: up to a third of
# what a call costs.
Answers = Annotated[list[InferenceResult], ContentType("application/json")]


def stored_model(spec: ModelSpec) -> BentoModel:
    """The store entry that a runner serves, by the configured profile."""
    return BentoModel(tag_to_serve(spec, get_settings().profile))


def service_options(*specs: ModelSpec, name: str = "") -> dict[str, Any]:
    """Arguments of ``@bentoml.service`` for a model's runner, or for that of several.

    Workers come from the settings; BentoML's own ``BENTOML_CONFIG_OPTIONS='services.VoiceGender.workers=2'`` overrides
    them, and anything else here.

    Args:
        *specs: The models.
        name: Of the service; that of a model's own runner where there is none.
    """
    settings = get_settings()
    return {
        "name": name or specs[0].runner,
        "workers": max(settings.runner(spec.name).workers for spec in specs),
        # The API bounds every request itself; a shorter limit here would answer in another shape.
        "traffic": {"timeout": settings.request_timeout_s + 60},
        # BentoML's client otherwise closes its shared session every 100 requests, with calls in flight: answers of 500
        # under plain concurrency (bentoml/BentoML#5540).
        "runner_connection": {"max_requests": 1_000_000_000, "max_age": 1e9},
        "logging": {"access": {"enabled": False}},
        # Its metrics of calls are the API's own (``core.metrics``), measured once more for every call.
        "metrics": {"enabled": False},
        "tracing": tracing.OFF_IN_BENTOML,
        # In each a batch is computed; without it BentoML computes one at a time.
        "threads": sum(streams(settings, spec.name) for spec in specs),
    }


class RunnerProcess:
    """What happens at the start and at the end of a runner's process."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def outlive_api(self) -> None:
        """Goes on answering after SIGTERM until the API has finished what is in flight."""
        outlive_api(get_settings().request_timeout_s)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def finish_traces(self) -> None:
        """Exports the spans that are left."""
        tracing.stop()


class ModelRunner(RunnerProcess):
    """Answers with one model; a subclass names its ``spec`` and its ``stored`` entry."""

    spec: ClassVar[ModelSpec]
    stored: ClassVar[Any]

    def __init__(self) -> None:
        started = time.perf_counter()
        tracing.start(self.spec.runner)
        # On an instance, BentoML gives the resolved entry.
        self.predictor = Predictor.open(self.spec, self._entry())
        BatchSlots.most = max(BatchSlots.most, self.predictor.engine.streams)
        self._warm_up()
        trimmer().note_work()
        metrics.MODEL.labels(self.spec.name, self.predictor.entry.tag, self.predictor.engine.description).set(1)
        log.info(
            "%s serves %s with %s, warm after %.2f s",
            self.spec.runner,
            self.predictor.entry.tag,
            self.predictor.engine.description,
            time.perf_counter() - started,
        )

    @bentoml.api(batchable=True, max_batch_size=LARGEST_BATCH)  # type: ignore[untyped-decorator]
    def predict(self, requests: list[Any]) -> Answers:
        """Answers for a batch of decoded inputs, one outcome for each, in order.

        Args:
            requests: The fields of ``InferenceRequest``, whose type is lost on the way from the API process.
        """
        batch = [InferenceRequest(*fields[: len(InferenceRequest._fields)]) for fields in requests]  # of any version
        parents = [request.traceparent for request in batch]
        try:
            with tracing.shared(f"runner {self.spec.name}", parents, "server") as spans:
                return self.predictor.answer_requests(
                    [p._replace(traceparent=s) for p, s in zip(batch, spans, strict=True)]
                )
        finally:
            trimmer().note_work()

    @bentoml.api  # type: ignore[untyped-decorator]
    async def served(self) -> ServedModel:
        """The store entry that this runner serves; the API's probes ask for it too."""
        return ServedModel(
            tag=self.predictor.entry.tag, checkpoint=self.predictor.checkpoint, batches=self.predictor.batches
        )

    def _entry(self) -> Entry:
        """The stored entry; with one that is not as it was saved this process ends, after one line that says so."""
        try:
            return Entry.open(self.stored)
        except WeightsError as error:
            log.critical("%s does not start: %s", self.spec.runner, error)
            give_up()

    def _warm_up(self) -> None:
        """Answers once with an example, so that the first caller does not pay for what is done only once.

        Raises:
            RuntimeError: The model does not answer.
        """
        outcome = self.predictor.warm_up()
        if outcome.kind != "ok":
            raise RuntimeError(f"{self.spec.name} does not answer: {outcome.error}")
