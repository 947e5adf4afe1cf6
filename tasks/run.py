"""The one driver of all tasks: decodes in threads, asks models through their queues, and counts what they say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from core import memory, metrics, tracing
from core.errors import BadRequest, Unprocessable
from core.request import CURRENT, note_model, note_progress
from core.settings import Settings
from core.trimming import trimmer
from media.addresses import describe_url
from media.audio import AudioLimits, DecodedAudio, decode
from media.cost import SECOND_BYTES, DecodingEstimator, stated_seconds
from media.encodings import decode_base64_audio
from media.examples import carried
from media.fetch import Fetcher
from models.messages import InferenceResult, SceneEntry
from models.spec import AudioInput, ImageInput, ModelSpec, cost
from scheduling.policy import LongRecording
from scheduling.queue import Model
from storage.cache import ResultCache
from storage.latest import LatestResult
from storage.redis_client import RedisClient
from tasks.base import Answer, Answered, Ask, Conclusion, FoundFace, Steps, windows
from tasks.face_gender import find
from tasks.questions import Question

T = TypeVar("T")

Read = Callable[[bytes, AudioLimits, int], DecodedAudio]

log = logging.getLogger("bundle.tasks")

# Windows of one recording that are under way at once, so that a long one does not hold up all others.
WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a task needs when it is run."""

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
        self,
        model: str,
        kind: str,
        function: Callable[[], T],
        size: int | Callable[[T | None], int],
        *,
        then: Sequence[str] = (),
    ) -> T:
        """Runs work that would hold up the event loop in a thread, and times it as decoding of ``kind`` for a model.

        Args:
            model: The model or question, as the metrics call it.
            kind: Of the work, as they call it.
            function: The work.
            size: Bytes that it reads, by which its time is estimated; or what says so before, and of what was made.
            then: The models that will be asked about what comes of it, where they are not ``model`` itself.
        """
        expected = size if isinstance(size, int) else size(None)

        def timed() -> T:
            started = time.perf_counter()
            found = 0  # of what fails nothing is known but the time
            try:
                made = function()
                if isinstance(made, bytes):
                    memory.hold(len(made))
                found = size if isinstance(size, int) else size(made)
                return made
            finally:
                seconds = time.perf_counter() - started
                metrics.DECODE_SECONDS.labels(model, kind).observe(seconds)
                self.decoding.note(kind, seconds, found, expected)
                trimmer().note_work()

        of_models = self.expecting(*(then or (model,)))
        with of_models, self.decoding.under_way(kind, expected), tracing.step(f"decode {kind}"):
            context = copy_context()  # with the lease of the request
            return await asyncio.get_running_loop().run_in_executor(self.threads, context.run, timed)

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
            # Where several models answer together, the first one makes the reservations of all.
            is_known = place > 0 or (state is not None and name in state.admitted)
            queue.ensure_room(wait_s, each_s, is_known=is_known)
        if state is not None:
            state.admitted.update(names)

    @contextlib.contextmanager
    def expecting(self, *names: str) -> Iterator[None]:
        """Counts an admitted request in the queues while it is downloaded or decoded.

        Args:
            names: The models that it needs; others are passed over.
        """
        with contextlib.ExitStack() as stack:
            for name in names:
                if name in self.models:
                    stack.enter_context(self.models[name].queue.expect())
            yield

    async def answer(
        self, question: Question, data: bytes, *, declared: str | None = None, read: Read | None = None
    ) -> Answer:
        """Answers a question about one file.

        Args:
            question: One of ``tasks.questions``.
            data: The file's bytes.
            declared: The container that the caller named; another one is accepted and noted in the log.
            read: Decodes a recording in another way than ``media.audio.decode``, to the rate that it is given.

        Raises:
            ServiceError: The input cannot be read or judged, there is no room for it, or a model is down.
        """
        self.ensure_room(*question.models)
        if question.kind == "face":
            face = await self.find_face(question, data)
            return Answer(await self.follow(question.classify(face, self.settings)), face=face)
        with self.recording(question) as recording:
            audio = await self.decode(question, data, recording, declared=declared, read=read)
            found = await self.follow(question.classify(audio, self.settings), recording)
        for problem in found.problems:
            metrics.QUALITY.labels(question.models[0], problem).inc()
            log.warning("this recording is hard to judge", extra={"question": question.name, "problem": problem})
        return Answer(found, audio=audio)

    def recording(self, question: Question) -> contextlib.AbstractContextManager[LongRecording]:
        """Room for a recording in the queue of the model that sees all of it; the others see a part."""
        name = question.models[0]
        windows_s = WINDOWS_AT_ONCE * self.audio_input(name).window_s
        return self.models[name].queue.long_recording(min(windows_s, question.piece_s or windows_s))

    async def answer_base64(self, question: Question, text: str, declared: str | None = None) -> Answer:
        """The same for a file in base64, which is decoded only where there is room for it.

        Args:
            question: One of ``tasks.questions``.
            text: As ``decode_base64_audio`` takes it.
            declared: As of ``answer``.

        Raises:
            ServiceError: As ``decode_base64_audio`` and ``answer``.
        """
        self.ensure_room(*question.models)
        most = self.settings.max_body_bytes
        data = await self.in_thread(
            question.label, "base64", lambda: decode_base64_audio(text, most), len(text), then=question.models
        )
        return await self.answer(question, data, declared=declared)

    async def answer_url(self, question: Question, url: str) -> Answer:
        """The same for the file at an address, downloaded anew.

        Args:
            question: One of ``tasks.questions``.
            url: ``http`` or ``https``.

        Raises:
            ServiceError: As ``Fetcher.fetch`` and ``answer``; Unprocessable when the file cannot be read.
        """
        self.ensure_room(*question.models)
        if (data := carried(url)) is None:
            with self.expecting(*question.models), tracing.step("download"), metrics.DOWNLOAD_SECONDS.time():
                data = await self.fetcher.fetch(url)
            log.info("downloaded", extra={"source": describe_url(url), "bytes": len(data)})
        try:
            return await self.answer(question, data)
        except BadRequest as error:  # the caller's request was right: it is the file at the address that is not
            raise Unprocessable(f"the file at the URL is not usable: {error.message}") from error

    async def decode(
        self,
        question: Question,
        data: bytes,
        recording: LongRecording,
        *,
        declared: str | None = None,
        read: Read | None = None,
    ) -> DecodedAudio:
        """Decodes a recording to mono at the rate of a question's models, within the configured limits.

        There must be room for the length that its header states, and then for the one that it turns out to have.

        Raises:
            ServiceError: As ``media.audio.decode``; TooManyRequests where there is no room.
        """
        rate = self.audio_input(question.models[0]).sample_rate
        longest = self.settings.max_audio_seconds
        keep_seconds = longest if question.cuts else None
        stated = stated_seconds(data) if read is None else 0.0
        if stated <= longest or question.cuts:  # a longer one is refused for good
            recording.announce(min(stated, longest))
        limits = replace(self.limits, on_length=recording.announcer())

        def decoded() -> DecodedAudio:
            if read is not None:
                return read(data, limits, rate)
            return decode(data, limits=limits, declared_format=declared, target_rate=rate, keep_seconds=keep_seconds)

        def size(made: DecodedAudio | None) -> int:
            seconds = made.duration_s if made else min(stated, longest)
            return max(len(data), round(seconds * SECOND_BYTES))

        kind = "audio" if read is None else "pcm"
        audio = await self.in_thread(question.label, kind, decoded, size, then=question.models)
        about = {"mime_type": audio.mime_type, "duration_s": round(audio.duration_s, 3)}
        log.info("decoded", extra={"question": question.name, **about})
        if not audio.as_declared:
            log.info("another container than declared", extra={"declared": declared, "found": audio.container})
        return audio

    async def find_face(self, question: Question, data: bytes) -> FoundFace:
        """Finds the largest face of a picture.

        Args:
            question: For which.
            data: The file's bytes.

        Raises:
            ServiceError: As ``tasks.face_gender.find``.
        """
        kind = self.models[question.models[0]].spec.input
        assert isinstance(kind, ImageInput)  # noqa: S101 - the question is about pictures
        size, max_pixels = kind.size, int(self.settings.max_image_megapixels * 1e6)
        return await self.in_thread(
            question.label, "image", lambda: find(data, size, max_pixels), len(data), then=question.models
        )

    @property
    def limits(self) -> AudioLimits:
        """Of a recording that is decoded now."""
        return AudioLimits(self.settings.max_audio_seconds, deadline=time.monotonic() + self.settings.request_timeout_s)

    async def follow(self, steps: Steps[Conclusion], recording: LongRecording | None = None) -> Conclusion:
        """Runs a task: asks what it asks at once, and counts what the models said.

        Args:
            steps: The task.
            recording: What it is about, where that was admitted as a whole.

        Raises:
            ServiceError: As the task does, and as ``ModelQueue.submit``.
        """
        try:  # of a long one, what is silent is cut first, which takes up to 0.4 s
            asked = await asyncio.to_thread(next, steps) if recording is not None and recording.total else next(steps)
            while True:
                asked = steps.send(await together(*(self.ask(one, recording) for one in asked)))
        except StopIteration as end:
            found: Conclusion = end.value
        finally:
            with contextlib.suppress(ValueError):  # the caller has left, and the thread is at it still
                steps.close()
            trimmer().note_work()
        for prediction in found.members.values():
            metrics.ANSWERS.labels(prediction.model, prediction.tag, prediction.best).inc()
            note_model(prediction.tag)
        return found

    def audio_input(self, name: str) -> AudioInput:
        """The input of an audio model.

        Raises:
            TypeError: The model takes pictures.
        """
        kind = self.models[name].spec.input
        if not isinstance(kind, AudioInput):
            raise TypeError(f"{name} does not take audio")
        return kind

    async def ask(self, asked: Ask, recording: LongRecording | None = None) -> Answered:
        """The model's answers for the windows of a recording, or for a picture, in order."""
        found = await self._ask(asked, spec := self.models[asked.model].spec, recording)
        if spec.input != (again := self.models[asked.model].spec).input:
            return await self._ask(asked, again, recording)  # the runner was started again with another model meanwhile
        return found

    async def _ask(self, asked: Ask, spec: ModelSpec, recording: LongRecording | None) -> Answered:
        name, queue = asked.model, self.models[asked.model].queue
        pieces = windows(spec, asked.item)
        costs = [cost(spec, piece) for piece in pieces]
        gate = asyncio.Semaphore(WINDOWS_AT_ONCE)
        note_progress(name, done := 0, len(pieces))

        async def ask(index: int) -> InferenceResult:
            nonlocal done
            async with gate:  # whether there is room is decided once, for the whole recording
                room.submitted(costs[index])
                result = await queue.submit(pieces[index], costs[index], admitted=index > 0)
            done += 1
            note_progress(name, done, len(pieces))
            return result

        with queue.long_recording(WINDOWS_AT_ONCE * max(costs)) as own:
            room = recording if recording is not None and recording.model == name else own
            room.announce(sum(costs))
            results = await together(*(ask(index) for index in range(len(pieces))))
        return Answered(self.models[name].spec, pieces, results)


async def together(*questions: Coroutine[Any, Any, T]) -> list[T]:
    """Asks at once; where one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        while tasks:  # none is kept: a reference cycle of a failure would keep the recording (``storage.cache``)
            tasks.pop().cancel()
