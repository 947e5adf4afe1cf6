"""The queue under any order of submissions, departures, failures and delays (a rule-based state machine)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.errors import InternalError, ServiceError, Unavailable
from core.settings import BatchBounds
from models.messages import InferenceRequest, InferenceResult
from scheduling.queue import ModelQueue
from tests.support.queued import Runner, item

IN_FLIGHT, MAX_ITEMS, MAX_COST = 2, 4, 8.0
BOUNDS = BatchBounds(MAX_ITEMS, MAX_COST)
STEPS = 60  # of the event loop, after which every task that can go on has done so

Waiting = asyncio.Task[InferenceResult]


class QueueStates(RuleBasedStateMachine):
    """Callers come and go while the runner answers, hangs or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.runner = Runner()
        self.queue = ModelQueue("states", self.call, IN_FLIGHT, lambda: BOUNDS, max_queue_wait_s=1e6)
        self.callers: dict[int, Waiting] = {}
        self.costs: dict[int, float] = {}
        self.unsent: list[int] = []  # in the order of submission, without those that have left
        self.under_way = 0
        self.wrong: list[str] = []

    async def call(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        """Checks a batch at the moment at which it is sent."""
        batch = [int(request.item[0]) for request in requests]
        self.unsent = [one for one in self.unsent if not self.callers[one].done()]  # some failed with another batch
        self.wrong += self.wrong_of(batch)
        self.unsent = [one for one in self.unsent if one not in batch]
        self.under_way += 1
        try:
            return await self.runner(requests)
        finally:
            self.under_way -= 1

    def wrong_of(self, batch: list[int]) -> list[str]:
        """What is wrong with a batch; raised in ``call``, it might be lost."""
        longest = max(self.costs[one] for one in batch)
        wrong = {
            "it is too large": len(set(batch)) < len(batch) or len(batch) > MAX_ITEMS,
            "an item was sent twice, or after its caller had left": not set(batch) <= set(self.unsent),
            "the oldest item was passed over": self.unsent[:1] != batch[:1],
            "it costs too much": len(batch) > 1 and len(batch) * longest > MAX_COST,
        }
        return [f"{batch}: {words}" for words, is_so in wrong.items() if is_so]

    def settle(self) -> None:
        """Lets every task go on as far as it can."""

        async def steps() -> None:
            for _ in range(STEPS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(steps())

    @rule(costs=st.lists(st.sampled_from([0.5, 1.0, 3.0, 30.0]), min_size=1, max_size=12), held=st.booleans())
    def submit(self, costs: list[float], held: bool) -> None:
        if held:
            self.runner.open.clear()
        for cost in costs:
            name = len(self.callers)
            self.costs[name] = cost
            self.unsent.append(name)
            self.callers[name] = self.loop.create_task(self.queue.submit(item(name), cost))
        self.settle()

    def waiting(self) -> list[int]:
        return [name for name, task in self.callers.items() if not task.done()]

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.cancel(data.draw(st.sampled_from(self.waiting())))

    @precondition(lambda self: bool(set(self.unsent) & set(self.waiting())))
    @rule(data=st.data())
    def leave_unsent(self, data: st.DataObject) -> None:
        self.cancel(data.draw(st.sampled_from(sorted(set(self.unsent) & set(self.waiting())))))

    def cancel(self, name: int) -> None:
        self.callers[name].cancel()
        if name in self.unsent:
            self.unsent.remove(name)
        self.settle()

    @rule()
    def hold(self) -> None:
        self.runner.open.clear()

    @rule()
    def go_on(self) -> None:
        self.runner.open.set()
        self.settle()

    @rule(kind=st.sampled_from([Unavailable, InternalError]))
    def fail(self, kind: type[ServiceError]) -> None:
        self.runner.error = kind("as the test wants it")
        self.runner.open.set()
        self.settle()

    @rule()
    def mend(self) -> None:
        self.runner.error = None

    @invariant()
    def every_batch_was_right(self) -> None:
        assert not self.wrong

    @invariant()
    def no_more_is_under_way_than_may_be(self) -> None:
        assert self.under_way <= IN_FLIGHT + 1

    @invariant()
    def an_open_runner_leaves_nothing_waiting(self) -> None:
        if self.runner.open.is_set():
            assert self.under_way == 0
            assert all(task.done() for task in self.callers.values())
            assert self.queue.expected_wait_s() == 0.0

    @invariant()
    def each_gets_its_own_answer_or_the_failure(self) -> None:
        for name, task in self.callers.items():
            if not task.done() or task.cancelled():
                continue
            error = task.exception()
            if error is None:
                assert task.result().probabilities == [float(name)]
            else:
                assert isinstance(error, Unavailable | InternalError), error
                assert "as the test wants it" in str(error)

    def teardown(self) -> None:
        """Whatever happened, the end is that every caller has an answer."""
        self.runner.error = None
        self.go_on()
        self.every_batch_was_right()
        self.an_open_runner_leaves_nothing_waiting()
        self.loop.close()


QueueStates.TestCase.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestQueueStates = QueueStates.TestCase
