"""The way of a request from what its caller sent to the conclusion: it is let in, decoded, and its models are asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from core import metrics, tracing
from core.errors import BadRequest, Unprocessable
from core.request import CURRENT
from core.settings import Settings
from media.addresses import describe_url
from media.examples import carried
from media.fetch import Fetcher
from models.messages import SceneEntry
from scheduling.queue import Model
from scheduling.throughput import DecodingEstimator
from storage.cache import ResultCache
from storage.latest import LatestResult
from storage.redis_client import RedisClient
from tasks.asking import Asker
from tasks.base import Answer
from tasks.decoding import Decoder, Read
from tasks.questions import Question

log = logging.getLogger("bundle.tasks")


@dataclass(slots=True)
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
    asker: Asker = field(init=False)
    decoder: Decoder = field(init=False)

    def __post_init__(self) -> None:
        """Makes what decodes and what asks."""
        self.asker = Asker(self.models)
        self.decoder = Decoder(self.settings, self.asker, self.threads, self.decoding)

    async def answer_url(self, question: Question, url: str) -> Answer:
        """Answers a question about the file at an address, downloaded anew.

        Args:
            question: One of ``tasks.questions``.
            url: ``http`` or ``https``.

        Raises:
            ServiceError: As ``download`` and ``answer_downloaded``.
        """
        return await self.answer_downloaded(question, await self.download(question, url))

    async def download(self, question: Question, url: str) -> bytes:
        """The file at an address, downloaded where there is room for what is asked about it.

        Args:
            question: One of ``tasks.questions``.
            url: ``http`` or ``https``.

        Raises:
            ServiceError: As ``Fetcher.fetch`` and ``ensure_room``.
        """
        self.ensure_room(*question.models)
        if (data := carried(url)) is None:
            with self.asker.expecting(*question.models), tracing.step("download"), metrics.DOWNLOAD_SECONDS.time():
                data = await self.fetcher.fetch(url)
            log.info("downloaded", extra={"source": describe_url(url), "bytes": len(data)})
        return data

    async def answer_downloaded(self, question: Question, data: bytes) -> Answer:
        """Answers a question about a file that was downloaded.

        Raises:
            ServiceError: As ``answer``; Unprocessable when the file cannot be read.
        """
        try:
            return await self.answer(question, data)
        except BadRequest as error:  # the caller's request was right: it is the file at the address that is not
            raise Unprocessable(f"the file at the URL is not usable: {error.message}") from error

    async def answer_base64(self, question: Question, text: str, declared: str | None = None) -> Answer:
        """Answers a question about a file in base64, which is decoded only where there is room for it.

        Args:
            question: One of ``tasks.questions``.
            text: As ``decode_base64_audio`` takes it.
            declared: As of ``answer``.

        Raises:
            ServiceError: As ``Decoder.base64`` and ``answer``.
        """
        self.ensure_room(*question.models)
        return await self.answer(question, await self.decoder.base64(question, text), declared=declared)

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
        if question.kind == "image":
            face = await self.decoder.face(question, data)
            return Answer(await self.asker.follow(question.classify(face, self.settings)), face=face)
        with self.asker.recording(question) as recording:
            audio = await self.decoder.audio(question, data, recording, declared=declared, read=read)
            found = await self.asker.follow(question.classify(audio, self.settings), recording)
        for problem in found.problems:
            metrics.QUALITY.labels(question.models[0], problem).inc()
            log.warning("this recording is hard to judge", extra={"question": question.name, "problem": problem})
        return Answer(found, audio=audio)

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

    async def close(self) -> None:
        """Closes connections, files and threads."""
        await self.fetcher.aclose()
        await self.cache.aclose()
        await self.latest.aclose()
        if self.redis is not None:
            await self.redis.aclose()
        self.threads.shutdown(wait=False, cancel_futures=True)
