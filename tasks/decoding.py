"""Decodes what callers send, in threads, and knows how long that takes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import TypeVar

from core import memory, metrics, tracing
from core.settings import Settings
from core.trimming import trimmer
from media.audio import AudioLimits, DecodedAudio, decode
from media.cost import SECOND_BYTES, stated_seconds
from media.encodings import decode_base64_audio
from models.spec import ImageInput
from scheduling.policy import LongRecording
from scheduling.throughput import DecodingEstimator
from tasks.asking import Asker
from tasks.base import DetectedFace
from tasks.face_gender import find
from tasks.questions import Question

T = TypeVar("T")

Read = Callable[[bytes, AudioLimits, int], DecodedAudio]

log = logging.getLogger("bundle.tasks")


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decodes for the models that will be asked.

    Attributes:
        settings: The limits.
        asker: In whose queues a request counts while it is decoded.
        threads: In which it is done.
        estimator: Of the time that it takes.
    """

    settings: Settings
    asker: Asker
    threads: ThreadPoolExecutor
    estimator: DecodingEstimator
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def audio(
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
        rate = self.asker.audio_input(question.models[0]).sample_rate
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
        audio = await self.timed(question.label, kind, decoded, size, then=question.models)
        about = {"mime_type": audio.mime_type, "duration_s": round(audio.duration_s, 3)}
        log.info("decoded", extra={"question": question.name, **about})
        if not audio.as_declared:
            log.info("another container than declared", extra={"declared": declared, "found": audio.container})
        return audio

    async def face(self, question: Question, data: bytes) -> DetectedFace:
        """Finds the largest face of a picture.

        Args:
            question: For which.
            data: The file's bytes.

        Raises:
            ServiceError: As ``tasks.face_gender.find``.
        """
        kind = self.asker.models[question.models[0]].spec.input
        assert isinstance(kind, ImageInput)  # noqa: S101 - the question is about pictures
        size, max_pixels = kind.size, int(self.settings.max_image_megapixels * 1e6)
        return await self.timed(
            question.label, "image", lambda: find(data, size, max_pixels), len(data), then=question.models
        )

    async def base64(self, question: Question, text: str) -> bytes:
        """Decodes a file in base64.

        Args:
            question: For which.
            text: As ``decode_base64_audio`` takes it.

        Raises:
            ServiceError: As ``decode_base64_audio``.
        """
        most = self.settings.max_body_bytes
        return await self.timed(
            question.label,
            "base64",
            lambda: decode_base64_audio(text, most),
            len(text),
            then=question.models,
            alone=True,
        )

    @property
    def limits(self) -> AudioLimits:
        """Of a recording that is decoded now."""
        return AudioLimits(self.settings.max_audio_seconds, deadline=time.monotonic() + self.settings.request_timeout_s)

    async def timed(
        self,
        model: str,
        kind: str,
        function: Callable[[], T],
        size: int | Callable[[T | None], int],
        *,
        then: Sequence[str] = (),
        alone: bool = False,
    ) -> T:
        """Runs work in a thread, and times it as decoding of ``kind`` for a model.

        Args:
            model: The model or question, as the metrics call it.
            kind: Of the work, as they call it.
            function: The work.
            size: Bytes that it reads, by which its time is estimated; or what says so before, and of what was made.
            then: The models that will be asked about what comes of it, where they are not ``model`` itself.
            alone: Whether one such work runs at a time. That is for functions of Python that let no other thread run:
                several threads at them take turns, and the event loop would wait for all.
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
                self.estimator.note(kind, seconds, found, expected)
                trimmer().note_work()

        of_models = self.asker.expecting(*(then or (model,)))
        with of_models, self.estimator.under_way(kind, expected), tracing.step(f"decode {kind}"):
            context = copy_context()  # with the lease of the request
            async with self._alone if alone else nullcontext():
                return await self.in_thread(lambda: context.run(timed))

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Runs in a thread what would hold up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, function)
