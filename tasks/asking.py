"""Asks models through their queues what a task asks, and counts what they say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from core import metrics
from core.request import note_model, note_progress
from core.trimming import trimmer
from models.messages import InferenceResult
from models.spec import AudioInput, ModelSpec, cost
from scheduling.policy import LongRecording
from scheduling.queue import Model
from tasks.base import Answered, Ask, Conclusion, Steps, windows
from tasks.questions import Question

T = TypeVar("T")

# Windows of one recording that are under way at once, so that a long one does not hold up all others.
WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks models.

    Attributes:
        models: By name, each behind its queue.
    """

    models: Mapping[str, Model]

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

    def recording(self, question: Question) -> contextlib.AbstractContextManager[LongRecording]:
        """Room for a recording in the queue of the model that sees all of it; the others see a part."""
        name = question.models[0]
        windows_s = WINDOWS_AT_ONCE * self.audio_input(name).window_s
        return self.models[name].queue.long_recording(min(windows_s, question.piece_s or windows_s))

    def audio_input(self, name: str) -> AudioInput:
        """The input of an audio model.

        Raises:
            TypeError: The model takes pictures.
        """
        kind = self.models[name].spec.input
        if not isinstance(kind, AudioInput):
            raise TypeError(f"{name} does not take audio")
        return kind


async def together(*questions: Coroutine[Any, Any, T]) -> list[T]:
    """Asks at once; where one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        while tasks:  # none is kept: a reference cycle of a failure would keep the recording (``storage.cache``)
            tasks.pop().cancel()
