"""A stand-in for a model's runner behind its queue, which a test can hold up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.settings import BatchBounds
from models.messages import InferenceRequest, InferenceResult, ServedModel
from scheduling.queue import ModelQueue
from scheduling.throughput import REMEMBERED
from tasks.base import Ask, Conclusion, Prediction, Steps
from tasks.run import Context


class Runner:
    """Answers with the first value of each item; can be held up, made to fail, or to answer too few."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: BaseException | None = None
        self.short_by = 0
        self.delay_s = 0.0

    async def __call__(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        items = [request.item for request in requests]
        self.batches.append([float(item[0]) for item in items])
        await self.open.wait()
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        answers = [InferenceResult(model="m:1", probabilities=[float(item[0])]) for item in items]
        return answers[: len(answers) - self.short_by]


class Client:
    """The way to a runner that serves one entry; what is asked of the model goes through its queue alone."""

    def __init__(self, tag: str) -> None:
        self.known: ServedModel | None = ServedModel(tag=tag)

    async def predict(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        raise AssertionError("the queue asks")

    async def alive(self) -> bool:
        return True

    async def served(self) -> ServedModel:
        assert self.known is not None
        return self.known


def one_by_one() -> BatchBounds:
    """Batches of one item."""
    return BatchBounds(items=1)


def item(value: float) -> NDArray[np.float32]:
    return np.array([value], np.float32)


async def submit(queue: ModelQueue, count: int) -> list[asyncio.Task[InferenceResult]]:
    """Items of the values 0 to ``count``, each from a caller of its own, all in the queue or under way."""
    tasks = [asyncio.create_task(queue.submit(item(value))) for value in range(count)]
    await settle()
    return tasks


def known(queue: ModelQueue, seconds: float) -> None:
    """Lets a queue remember that a unit of cost takes so long, more often than the few batches of a test can change."""
    for _ in range(REMEMBERED):
        queue.throughput.note(seconds)


async def settle() -> None:
    """Lets every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def judging(name: str, item: NDArray[Any]) -> Steps[Conclusion]:
    """The task that asks one model about an item."""
    (found,) = yield [Ask(name, item)]
    return Conclusion.of(found.join())


async def judged(context: Context, name: str, item: NDArray[Any]) -> Prediction:
    """What one model says of an item, by the way of every task."""
    return (await context.asker.follow(judging(name, item))).members[name]
