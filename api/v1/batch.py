"""A batch: its items are asked a few at a time, each fails alone, and their answers come in their order."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.responses import error_body
from api.v1.report import report
from api.v1.schemas import ItemAnswer, ItemError
from core.errors import InternalError, ServiceError, TimedOut, TooManyRequests
from core.memory import lease_apart
from tasks.base import Answer
from tasks.questions import Question
from tasks.run import Context

log = logging.getLogger("bundle.batch")

MEDIA_TYPE = "application/x-ndjson"
# Items of one batch that are under way at once. Two keep the models busy while others are decoded; with more, a large
# batch would be ahead of the single requests that come after it.
AT_ONCE = 2
# Of the time limit of a request. Items that have no answer then are answered with 504 each, and the others are kept.
PART_OF_TIME = 0.9


@dataclass(slots=True)
class Input:
    """One item of a request: bytes of a file, an address, or base64.

    Attributes:
        name: What the answer calls it.
        content: Bytes, or text; the bytes of what was downloaded; None once it has been answered.
        is_url: Whether the text is an address, or was.
    """

    name: str
    content: bytes | str | None
    is_url: bool = False


class Batch:
    """The items of one request, under way.

    Args:
        context: The bundle.
        question: What is asked.
        inputs: The items.
        began: When the request did, by the loop's clock (seconds).
    """

    def __init__(self, context: Context, question: Question, inputs: Sequence[Input], began: float) -> None:
        self._context = context
        self._question = question
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._deadline = began + PART_OF_TIME * context.settings.request_timeout_s
        self._tasks = [asyncio.ensure_future(self._item(index, one)) for index, one in enumerate(inputs)]

    async def entries(self) -> AsyncIterator[ItemAnswer | ItemError]:
        """The entries, each as soon as it and those before it are there."""
        for task in self._tasks:
            yield await task

    def cancel(self) -> None:
        """Ends what is still under way."""
        while self._tasks:
            self._tasks.pop().cancel()

    async def _item(self, index: int, one: Input) -> ItemAnswer | ItemError:
        try:
            async with asyncio.timeout_at(self._deadline), self._gate:
                return await self._admitted(index, one)
        except TimeoutError:
            return _failed(index, one.name, TimedOut("no answer within the time limit of the request"))
        except Exception as error:
            return _failed(index, one.name, error)
        finally:
            one.content = None

    async def _admitted(self, index: int, one: Input) -> ItemAnswer:
        """Asks; where a model has no room left for a batch that was let in, waits until its ``Retry-After``."""
        with lease_apart():  # of what is downloaded, which is done once
            while True:
                try:
                    if one.is_url and isinstance(one.content, str):
                        one.content = await self._context.download(self._question, one.content)
                    with lease_apart():  # each try gives back what it decoded: waiting holds nothing of it
                        return await self._answered(index, one)
                except TooManyRequests as error:
                    await asyncio.sleep(error.retry_after or 1.0)

    async def _answered(self, index: int, one: Input) -> ItemAnswer:
        answer = await self._ask(one)
        spec = self._context.models[self._question.models[0]].spec
        return await self._context.decoder.in_thread(
            lambda: report(self._question, answer, spec, self._context.settings, index, one.name)
        )

    async def _ask(self, one: Input) -> Answer:
        assert one.content is not None  # noqa: S101 - it has not been answered
        if isinstance(one.content, bytes):
            context = self._context
            return await (context.answer_downloaded if one.is_url else context.answer)(self._question, one.content)
        return await self._context.answer_base64(self._question, one.content)


def _failed(index: int, name: str, error: Exception) -> ItemError:
    body = error_body(error)
    body["message"] = body["message"].replace("audioBase64", "base64")  # the field of another route
    retry_after = error.retry_after if isinstance(error, ServiceError) else None
    return ItemError(
        index=index,
        name=name,
        code=error.status if isinstance(error, ServiceError) else InternalError.status,
        retry_after=None if retry_after is None else max(1, math.ceil(retry_after)),
        **body,
    )


class BatchLines(StreamingResponse):
    """A line of JSON for each entry; when the caller goes, the work is cancelled."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(_lines(batch), media_type=MEDIA_TYPE)
        self._batch = batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the lines."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._batch.cancel()


async def _lines(batch: Batch) -> AsyncIterator[str]:
    async for entry in batch.entries():
        yield entry.model_dump_json(by_alias=True) + "\n"


async def collect(batch: Batch) -> list[ItemAnswer | ItemError]:
    """All entries."""
    try:
        return [entry async for entry in batch.entries()]
    finally:
        batch.cancel()
