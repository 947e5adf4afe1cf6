"""What the five operations share: settings, models, the decoding threads, the cache and the latest result."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core import memory, metrics, tracing
from core.request import CURRENT, note_progress
from core.settings import Settings
from media.audio import AudioLimits, DecodedAudio, decode
from media.fetch import Fetcher
from models.messages import InferenceResult
from models.spec import AudioInput, ModelSpec
from models.windows import average, cost, split
from scheduling.queue import ModelQueue
from scheduling.runner_client import Runner
from scheduling.throughput import DecodingEstimator
from storage.cache import ResultCache
from storage.latest import LatestResult
from storage.redis_client import RedisClient
from tasks.answer import Join, Prediction, join_results
from tasks.results import SceneEntry

T = TypeVar("T")

Weigh = Callable[[Sequence[InferenceResult], Sequence[float]], Sequence[float]]

# Windows of one recording that are under way at once, so that a long one does not keep everybody else waiting.
WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Model:
    """One model as the API process sees it.

    Attributes:
        bundled: What it is where the bundled entry is served.
        client: What answers: the way to its runner.
        queue: What is waiting for it.
    """

    bundled: ModelSpec
    client: Runner
    queue: ModelQueue

    @property
    def spec(self) -> ModelSpec:
        """What it is, as its runner said last."""
        served = self.client.known
        return served.describe(self.bundled) if served else self.bundled


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that an operation needs."""

    settings: Settings
    models: Mapping[str, Model]
    threads: ThreadPoolExecutor
    fetcher: Fetcher
    cache: ResultCache[SceneEntry]
    latest: LatestResult
    redis: RedisClient | None
    decoding: DecodingEstimator = field(default_factory=DecodingEstimator)

    async def close(self) -> None:
        """Closes connections, files and threads."""
        await self.fetcher.aclose()
        await self.cache.aclose()
        await self.latest.aclose()
        if self.redis is not None:
            await self.redis.aclose()
        self.threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(
        self, model: str, kind: str, function: Callable[[], T], size: int, *, then: Sequence[str] = ()
    ) -> T:
        """Runs work that would hold up the event loop in a thread, and times it as decoding of ``kind`` for a model.

        Args:
            model: For whom, as the metrics call it.
            kind: Of the work, as they call it.
            function: The work.
            size: Bytes that it reads, by which its time is estimated.
            then: The models that will be asked about what comes of it, where they are not ``model`` itself.
        """

        def timed() -> T:
            started = time.perf_counter()
            try:
                made = function()
                if isinstance(made, bytes):
                    memory.hold(len(made))
                return made
            finally:
                seconds = time.perf_counter() - started
                metrics.DECODE_SECONDS.labels(model, kind).observe(seconds)
                self.decoding.note(kind, seconds, size)

        with self.coming(*(then or (model,))), self.decoding.here(kind, size), tracing.step(f"decode {kind}"):
            here = copy_context()  # with the lease of the request
            return await asyncio.get_running_loop().run_in_executor(self.threads, here.run, timed)

    async def decode(
        self,
        model: str,
        data: bytes,
        rate: int,
        *,
        declared: str | None = None,
        keep_seconds: float | None = None,
        then: Sequence[str] = (),
    ) -> DecodedAudio:
        """Decodes a recording to mono at a model's rate, within the configured limits.

        Args:
            model: For whom, as the metrics call it.
            data: The file's bytes.
            rate: Of the answer (Hz).
            declared: The container that the caller named.
            keep_seconds: Decoding stops after this much.
            then: As of ``in_thread``.

        Raises:
            ServiceError: As ``media.audio.decode``.
        """
        limits = AudioLimits(
            max_seconds=self.settings.max_audio_seconds, deadline=time.monotonic() + self.settings.request_timeout_s
        )
        return await self.in_thread(
            model,
            "audio",
            lambda: decode(data, limits=limits, declared_format=declared, target_rate=rate, keep_seconds=keep_seconds),
            len(data),
            then=then,
        )

    def ensure_room(self, *names: str) -> None:
        """Refuses a request before any work is done for it: before its body is read, and again when it is there.

        Args:
            names: The models that it needs.

        Raises:
            TooManyRequests: One of them has more waiting than it can answer in time, or what came before it is not read
                in time.
            Unavailable: The runner of one is down.
        """
        state = CURRENT.get()
        queues = [self.models[name].queue for name in names]
        outlooks = [(self.decoding.expected_wait_s(), self.decoding.each_s), *(queue.outlook_s for queue in queues)]
        wait_s, each_s = (max(values) for values in zip(*outlooks, strict=True))
        for place, (name, queue) in enumerate(zip(names, queues, strict=True)):
            # Where several models answer together, the first one makes the appointments of all.
            is_known = place > 0 or (state is not None and name in state.admitted)
            queue.ensure_room(wait_s, each_s, is_known=is_known)
        if state is not None:
            state.admitted.update(names)

    @contextlib.contextmanager
    def coming(self, *names: str) -> Iterator[None]:
        """Lets the queues know of a request that was let in, while it is downloaded or decoded.

        Args:
            names: The models that it needs; others are passed over.
        """
        with contextlib.ExitStack() as stack:
            for name in names:
                if name in self.models:
                    stack.enter_context(self.models[name].queue.coming())
            yield

    def audio_input(self, name: str) -> AudioInput:
        """The input of an audio model.

        Raises:
            TypeError: The model takes pictures.
        """
        kind = self.models[name].spec.input
        if not isinstance(kind, AudioInput):
            raise TypeError(f"{name} does not take audio")
        return kind

    async def classify(self, name: str, item: NDArray[Any]) -> Prediction:
        """Asks a model about one item that it sees whole."""
        model = self.models[name]
        return join_results(model.spec, [await model.queue.submit(item, cost(model.spec, item))], [1.0])

    async def classify_audio(
        self, name: str, samples: NDArray[np.float32], join: Join = average, weigh: Weigh | None = None
    ) -> Prediction:
        """Asks a model about a recording of any length, window by window.

        Args:
            name: An audio model.
            samples: float32 [n] at the model's rate.
            join: Makes one answer of those of the windows and their weights.
            weigh: Gives the windows' weights, from what was measured of each and their lengths (seconds); the lengths
                themselves where it is not given.
        """
        windows, outcomes = await self.ask(name, samples)
        lengths = [window.size / self.audio_input(name).sample_rate for window in windows]
        weights = weigh(outcomes, lengths) if weigh and all(one.kind == "ok" for one in outcomes) else lengths
        return join_results(self.models[name].spec, outcomes, weights, join)

    async def ask(
        self, name: str, samples: NDArray[np.float32]
    ) -> tuple[list[NDArray[np.float32]], list[InferenceResult]]:
        """The windows of a recording, as an audio model sees them at once, and what it says of each, in order."""
        kind = self.audio_input(name)
        windows, outcomes = await self._ask_windows(name, samples, kind)
        if kind != (kind := self.audio_input(name)):  # the runner was started again with another model meanwhile
            windows, outcomes = await self._ask_windows(name, samples, kind)
        return windows, outcomes

    async def _ask_windows(
        self, name: str, samples: NDArray[np.float32], kind: AudioInput
    ) -> tuple[list[NDArray[np.float32]], list[InferenceResult]]:
        model = self.models[name]
        windows = split(samples, round(kind.window_s * kind.sample_rate))
        costs = [cost(model.spec, window) for window in windows]
        gate = asyncio.Semaphore(WINDOWS_AT_ONCE)
        done = 0
        note_progress(name, done, len(windows))

        async def ask(index: int) -> InferenceResult:
            nonlocal done
            window = windows[index]
            async with gate:  # whether there is room is decided once, for the whole recording
                submitted(costs[index])
                outcome = await model.queue.submit(window, costs[index], admitted=index > 0)
            done += 1
            note_progress(name, done, len(windows))
            return outcome

        long = len(windows) > WINDOWS_AT_ONCE
        with model.queue.long_recording(sum(costs)) if long else nullcontext(lambda _: None) as submitted:
            return windows, await together(*(ask(index) for index in range(len(windows))))


async def together(*questions: Coroutine[Any, Any, T]) -> list[T]:
    """Asks at once; where one fails, the others are called off."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        while tasks:  # none is kept, or a failure would hold itself, and with it the recording
            tasks.pop().cancel()
