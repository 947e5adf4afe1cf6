"""Those who come back when they were told find room: callers and a queue in simulated time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from scheduling.policy import LATE_S, MAX_RESERVATIONS, Admission

MAX_QUEUE_WAIT_S = 10.0


@dataclass
class Overload:
    """Callers in a loop: who is refused waits as told; who is answered asks again at once, which is the hardest case.

    Attributes:
        callers: How many.
        service_s: Mean time of an answer (seconds); it varies by a third, and is known to a tenth.
        late_s: Longest time by which a caller comes later than told.
        again: Whether those who were answered ask again.
        leaves: Part of the refused who never come back.
    """

    callers: int = 300
    service_s: float = 0.33
    late_s: float = 0.05
    again: bool = True
    leaves: float = 0.0
    now: float = 0.0
    kept: int = 0
    broken: int = 0
    answered: Counter[int] = field(default_factory=Counter)

    def run(self, seconds: float) -> Overload:
        """Lets so much time pass."""
        chance, order = random.Random(1), itertools.count()
        door, busy = Admission(MAX_QUEUE_WAIT_S, lambda: self.now), False
        waiting: list[int] = []
        events = [(chance.uniform(0, 0.1), next(order), "ask", caller) for caller in range(self.callers)]
        heapq.heapify(events)
        while events and events[0][0] < seconds:
            self.now, _, what, caller = heapq.heappop(events)
            if what == "answered":
                busy = False
                self.answered[caller] += 1
                if self.again:
                    heapq.heappush(events, (self.now + chance.uniform(0, self.late_s), next(order), "ask", caller))
            else:
                wait_s = (len(waiting) + busy) * self.service_s * chance.uniform(0.9, 1.1)
                later = door.ask(wait_s, self.service_s)
                if what == "return":
                    self.kept, self.broken = self.kept + (later is None), self.broken + (later is not None)
                if later is None:
                    waiting.append(caller)
                elif chance.random() >= self.leaves:
                    moment = self.now + later + chance.uniform(0, self.late_s)
                    heapq.heappush(events, (moment, next(order), "return", caller))
            if waiting and not busy:
                busy = True
                took = self.service_s * chance.uniform(2 / 3, 4 / 3)
                heapq.heappush(events, (self.now + took, next(order), "answered", waiting.pop(0)))
        return self

    @property
    def share(self) -> float:
        """Of those who came back as told, the part that was let in."""
        return self.kept / (self.kept + self.broken)

    @property
    def throughput(self) -> float:
        """Answers in a second."""
        return self.answered.total() / self.now


@pytest.mark.parametrize("service_s", [0.2, 0.33, 1.0, 2.0])
def test_under_lasting_overload_those_who_wait_as_told_are_let_in(service_s: float) -> None:
    """300 callers; before, all of those who were refused at a moment were told the same time."""
    overload = Overload(service_s=service_s).run(600)
    assert overload.kept > 100
    assert overload.share >= 0.8
    assert overload.throughput * service_s > 0.97  # nothing stands still for those who are expected


def test_all_get_their_turn() -> None:
    answered = Overload().run(400).answered
    assert len(answered) == 300
    assert max(answered.values()) <= 12


def test_a_burst_is_worked_off_as_told() -> None:
    burst = Overload(again=False).run(600)
    assert burst.answered.total() == 300
    assert burst.share >= 0.95


def test_places_of_callers_that_do_not_come_back_are_given_to_others() -> None:
    overload = Overload(leaves=0.3, again=False, callers=500).run(600)
    assert overload.share >= 0.8
    assert overload.throughput * overload.service_s > 0.7


def test_refused_requests_alone_shut_no_client_out() -> None:
    """Many that were refused at a bad moment and never come must not keep an idle queue shut."""
    now = 0.0
    door = Admission(MAX_QUEUE_WAIT_S, lambda: now)
    told = [door.ask(MAX_QUEUE_WAIT_S + 1, 0.1) or 0 for _ in range(1000)]
    assert min(told) >= 1
    assert set(told[MAX_RESERVATIONS:]) == {told[MAX_RESERVATIONS]}  # no more is remembered
    assert door.ask(0.0, 0.1) is None
    now = max(told) + LATE_S + 1
    assert door.ask(MAX_QUEUE_WAIT_S, 0.1) is None
    assert door.reserve(MAX_QUEUE_WAIT_S + 1, 0.1) == told[0]  # nothing is remembered any more


def test_each_is_told_a_later_time() -> None:
    door = Admission(MAX_QUEUE_WAIT_S, lambda: 0.0)
    told = [door.ask(12.0, 1.0) for _ in range(5)]
    assert told == [5, 6, 7, 8, 9]


def test_without_overload_no_request_is_refused() -> None:
    door = Admission(MAX_QUEUE_WAIT_S, lambda: 0.0)
    assert all(door.ask(wait_s, 1.0) is None for wait_s in (0.0, 5.0, MAX_QUEUE_WAIT_S))
