"""The queue in front of a model: the one place where batching, bounds, waiting and cancellation are decided.

A call from the API process to a runner costs about 2 ms whether it carries one item or eight, so waiting items are sent
together. No item waits for batch-mates: an idle sender takes what is waiting at once, and a batch gathers while it is
busy. The oldest item always goes next. Of the items next in line those nearest to it in length go with it, within
bounds of padded cost (the policy of text-embeddings-inference, ``core/src/queue.rs``). Items whose caller has gone are
dropped before they cost anything. When more is waiting than can be answered in time, new items are refused with an
estimate of the wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from statistics import median_low
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from core import metrics, tracing
from core.errors import InternalError, TooManyRequests, Unavailable
from core.request import CURRENT
from core.settings import BatchBounds
from models.messages import InferenceRequest, InferenceResult
from models.spec import ModelSpec
from scheduling.policy import Admission, LongRecording, choose
from scheduling.throughput import REMEMBERED, ThroughputEstimator

if TYPE_CHECKING:  # which imports aiohttp, in 0.25 s
    from scheduling.runner_client import Runner

Call = Callable[[Sequence[InferenceRequest]], Awaitable[Sequence[InferenceResult]]]

# Memory that waiting items may hold for one model (bytes): about 130 clips of 30 s at 16 kHz.
MAX_WAITING_BYTES = 256 * (1 << 20)
# Time that a batch of several may take (seconds), by the measured throughput. A model that needs longer for one item
# gains nothing from a batch: the first item would only wait for the last. A fast model saves calls.
BATCH_S = 0.25
# Time of a usual item (seconds) up to which one batch more is sent than the runner computes at once, so that it need
# not idle for the time that an answer and the next call take. A slower model would gain nothing by it, and what waits
# there cannot be dropped any more.
AHEAD_S = 0.1
# Times the longest wait above which a request is refused that was admitted already: the first estimate was wrong.
SLACK = 1.5
# When a long recording may try again that came before anything was known of the model's throughput (seconds).
FIRST_S = 2.0


@dataclass(slots=True, eq=False)
class _Entry:
    request: InferenceRequest
    answer: asyncio.Future[InferenceResult]
    since: float


@dataclass(slots=True)
class ModelQueue:
    """Waiting items of one model.

    Attributes:
        name: The model, as metrics and messages call it.
        call: Sends a batch to the runner; answers in order.
        max_in_flight: Batches that the runner computes at once. So many are under way, and one more of a fast model.
        bounds: Gives the present bounds of a batch. A lower cost holds where the model is measured to need more than
            ``BATCH_S`` for theirs.
        max_queue_wait_s: Expected waiting time above which an item is refused (seconds).
        ensure_up: Raises Unavailable while the runner is known to be down.
        throughput: Of the runner, as measured.
    """

    name: str
    call: Call
    max_in_flight: int = 1
    bounds: Callable[[], BatchBounds] = BatchBounds
    max_queue_wait_s: float = 10.0
    ensure_up: Callable[[], None] = lambda: None
    _waiting: list[_Entry] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _expected: int = 0
    _long: list[LongRecording] = field(default_factory=list)
    _costs: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    throughput: ThroughputEstimator = field(init=False)
    _admission: Admission = field(init=False)

    def __post_init__(self) -> None:
        """Starts to measure."""
        self.throughput = ThroughputEstimator(self.max_in_flight)
        self._admission = Admission(self.max_queue_wait_s)

    def expected_wait_s(self, expected: int = 0) -> float:
        """Time until all present items will have been answered (seconds), by the measured throughput.

        Args:
            expected: Admitted items of usual length that are still downloaded or decoded.
        """
        waiting = sum(entry.request.cost for entry in self._waiting if not entry.answer.done())
        return self.throughput.expected_wait_s(waiting + expected * self._usual())

    @contextlib.contextmanager
    def expect(self) -> Iterator[None]:
        """Counts an admitted item while it is still downloaded or decoded."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1

    @contextlib.contextmanager
    def long_recording(self, least: float) -> Iterator[LongRecording]:
        """A recording that is submitted part by part, if it turns out to be a long one.

        Args:
            least: Cost up to which it is not.

        Yields:
            What is told of its length, and of each part that is submitted.
        """
        recording = LongRecording(self.name, least, self._admit_long)
        self._long.append(recording)
        try:
            yield recording
        finally:
            self._long.remove(recording)

    def _admit_long(self, recording: LongRecording, more: float) -> None:
        """Refuses a long recording where the others have more to submit than can be answered in time."""
        others = sum(one.left for one in self._long if one is not recording)
        if others and self.throughput.known_s is None:  # what one takes is known when the first windows are answered
            raise self._refusal(FIRST_S)
        wait = self.expected_wait_s() + self.throughput.expected_work_s(others)
        if wait > self.max_queue_wait_s:
            raise self._refusal(self._admission.reserve(wait, self.throughput.expected_work_s(more)))

    @property
    def outlook_s(self) -> tuple[float, float]:
        """Time until all present and admitted items will have been answered, and what one more adds (seconds)."""
        return self.expected_wait_s(self._expected), self._each_s()

    def ensure_room(self, before_s: float = 0.0, before_each_s: float = 0.0, *, is_known: bool = False) -> None:
        """Admits a request or refuses it at once, before anything is downloaded or decoded for it.

        Args:
            before_s: Wait for other resources that it needs, such as decoding threads, if that is longer (seconds).
            before_each_s: Time that one request more adds there (seconds).
            is_known: It was admitted before its body was read, and is refused only when much has changed since.

        Raises:
            TooManyRequests: More is waiting or expected than can be answered within ``max_queue_wait_s``.
            Unavailable: The runner is down.
        """
        if self._tasks:  # else the next batch finds out whether the runner is back
            self.ensure_up()
        wait, each = self.outlook_s
        wait, each = max(before_s, wait), max(before_each_s, each)
        if not is_known:
            later = self._admission.ask(wait, each)
        else:
            later = self._admission.reserve(wait, each) if wait > SLACK * self.max_queue_wait_s else None
        if later is not None:
            raise self._refusal(later)

    def _ensure(self, size: int) -> None:
        """Refuses an admitted item only when the estimate was far from true, or memory is short."""
        if self._tasks:
            self.ensure_up()
        held = sum(entry.request.item.nbytes for entry in self._waiting)
        wait = self.expected_wait_s()
        if wait > SLACK * self.max_queue_wait_s or (self._waiting and held + size > MAX_WAITING_BYTES):
            raise self._refusal(self._admission.reserve(wait, self._each_s()))

    def _each_s(self) -> float:
        """Time that one usual item more adds to the wait (seconds)."""
        return self.throughput.expected_work_s(self._usual())

    def _usual(self) -> float:
        return median_low(self._costs) if self._costs else 0.0

    def _refusal(self, after_s: float) -> TooManyRequests:
        metrics.REFUSED.labels(self.name).inc()
        words = f"the {self.name} model has more waiting than it can answer in time, try again later"
        return TooManyRequests(words, retry_after=after_s)

    async def submit(self, item: NDArray[Any], cost: float = 1.0, *, admitted: bool = False) -> InferenceResult:
        """Waits for the answer to one item.

        Args:
            item: What the runner takes.
            cost: As of ``models.spec.cost``: seconds for audio, 1 for a picture.
            admitted: It belongs to a recording that was admitted already, and is not refused.

        Raises:
            TooManyRequests: More is waiting than can be answered within ``max_queue_wait_s``.
            ServiceError: What ``call`` raised.
        """
        if not admitted:
            self._ensure(item.nbytes)
            self._costs.append(cost)
        loop = asyncio.get_running_loop()
        state = CURRENT.get()
        request = InferenceRequest(item, state.id if state else "", tracing.traceparent(), cost)
        entry = _Entry(request, loop.create_future(), loop.time())
        self._waiting.append(entry)
        metrics.QUEUE_DEPTH.labels(self.name).inc()
        self._start_sender()
        try:
            return await entry.answer
        finally:
            del entry  # breaks the reference cycle of a failure, which keeps the item (``storage.cache``)

    def _start_sender(self) -> None:
        if len(self._tasks) < self._senders():
            # In a context of its own: a sender works for many requests, not for the one whose item started it.
            task = asyncio.create_task(self._send_all(), name=f"sender of {self.name}", context=Context())
            self._tasks.add(task)

    def _senders(self) -> int:
        throughput = self.throughput.known_s
        return self.max_in_flight + (throughput is not None and throughput * self._usual() <= AHEAD_S)

    async def _send_all(self) -> None:
        """Sends batch after batch until nothing is waiting. After that last look it ends without awaiting anything."""
        try:
            while len(self._tasks) <= self._senders() and (batch := self._take()):
                await self._send(batch)
        except Exception as error:  # no batch could be chosen, nor would the next sender choose one
            traceback.clear_frames(error.__traceback__)  # breaks the reference cycle of the failure, as above
            self._fail(self._leave(), error)
        finally:
            if (task := asyncio.current_task()) is not None:
                self._tasks.discard(task)
            if any(not entry.answer.done() for entry in self._waiting):
                self._start_sender()  # this task was ended, and the items would wait for the next submission

    def _take(self) -> list[_Entry]:
        """Removes the next batch from the waiting items: the oldest, and those nearest to it in cost."""
        gone = [entry for entry in self._waiting if entry.answer.done()]
        alive = [entry for entry in self._waiting if not entry.answer.done()]
        metrics.QUEUE_DEPTH.labels(self.name).dec(len(gone))
        metrics.DROPPED.labels(self.name).inc(len(gone))
        self._waiting = alive  # before what may fail, so that each is counted once
        bounds = self.bounds()
        costs = [entry.request.cost for entry in alive]
        batch = choose(costs, self._affordable(bounds.cost), bounds.items)
        chosen = set(batch)
        self._waiting = [entry for index, entry in enumerate(alive) if index not in chosen]
        metrics.QUEUE_DEPTH.labels(self.name).dec(len(batch))
        return [alive[index] for index in batch]

    def _affordable(self, most: float) -> float:
        """Largest padded cost of a batch of several, by the throughput of the model on this machine."""
        return min(most, BATCH_S / self.throughput.known_s) if self.throughput.known_s else most

    async def _send(self, batch: list[_Entry]) -> None:
        now = asyncio.get_running_loop().time()
        try:  # every failure from this point on reaches the waiting callers
            waited_s = [now - entry.since for entry in batch]
            for seconds in waited_s:
                metrics.QUEUE_SECONDS.labels(self.name).observe(seconds)
            with self.throughput.work(sum(entry.request.cost for entry in batch)):
                outcomes = await self._call([entry.request for entry in batch], waited_s)
                if len(outcomes) != len(batch):
                    raise InternalError(f"the {self.name} model answered {len(outcomes)} of {len(batch)} items")
        except Unavailable as error:  # the other waiting items would fail one batch after the other
            self._fail([*batch, *self._leave()], error)
        except Exception as error:
            self._fail(batch, error)
        except BaseException:  # passed on unchanged, it would look like a cancellation by the callers
            self._fail(batch, InternalError(f"the call of the {self.name} model was broken off"))
            raise
        else:
            for entry, outcome in zip(batch, outcomes, strict=True):
                if not entry.answer.done():
                    entry.answer.set_result(outcome)
        finally:
            batch.clear()  # breaks the reference cycle of a failure, as above

    def _leave(self) -> list[_Entry]:
        """Removes all waiting items."""
        left, self._waiting = self._waiting, []
        metrics.QUEUE_DEPTH.labels(self.name).dec(len(left))
        return left

    @staticmethod
    def _fail(entries: Sequence[_Entry], error: Exception) -> None:
        for entry in entries:
            if not entry.answer.done():
                entry.answer.set_exception(error)

    async def _call(self, requests: Sequence[InferenceRequest], waited_s: Sequence[float]) -> Sequence[InferenceResult]:
        """Calls the runner; the two steps are in the traces of all whose items are in the batch."""
        parents = [request.traceparent for request in requests]
        tracing.waited(f"queue {self.name}", parents, waited_s)
        with tracing.shared(f"call {self.name}", parents, "client", {"bundle.items": len(requests)}) as spans:
            return await self.call([p._replace(traceparent=span) for p, span in zip(requests, spans, strict=True)])


@dataclass(frozen=True, slots=True)
class Model:
    """One model as the API process sees it.

    Attributes:
        bundled: Its description, as of the bundled weights.
        client: The connection to its runner.
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
