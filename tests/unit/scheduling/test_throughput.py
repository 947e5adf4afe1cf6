"""What is expected of work that is measured: exact values, by a clock that a test moves."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from scheduling import policy, throughput
from scheduling.policy import LATE_S, PLANNED, Admission
from scheduling.throughput import ThroughputEstimator
from tests.support.clock import Clock

MAX_QUEUE_WAIT_S = 10.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (policy, throughput):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=made))
    return made


def test_before_anything_has_been_done_nothing_is_known(clock: Clock) -> None:
    throughput = ThroughputEstimator(2)
    assert throughput.known_s is None
    assert throughput.expected_work_s(3.0) == 0.0
    assert throughput.expected_wait_s(3.0) == 0.0


def test_the_time_for_a_unit_is_the_lower_median() -> None:
    throughput = ThroughputEstimator()
    for seconds, cost in [(1.0, 2.0), (8.0, 2.0), (6.0, 3.0), (60.0, 1.0)]:
        throughput.note(seconds, cost)
    assert throughput.known_s == 2.0


def test_work_in_several_places_adds_its_part(clock: Clock) -> None:
    throughput = ThroughputEstimator(4)
    throughput.note(2.0)
    assert throughput.expected_work_s(6.0) == 3.0
    assert throughput.expected_wait_s(6.0) == 3.0
    with throughput.under_way(2.0):
        assert throughput.expected_wait_s(6.0) == 4.0
        clock.now += 100.0  # late, but other places are free
        assert throughput.expected_wait_s(6.0) == 4.0
    assert throughput.expected_wait_s(6.0) == 3.0


def test_where_every_place_is_late_the_wait_is_longer_by_as_much_as_the_best_is_late(clock: Clock) -> None:
    throughput = ThroughputEstimator(2)
    throughput.note(1.0)
    with throughput.under_way(2.0), throughput.under_way(4.0):
        assert throughput.expected_wait_s(0.0) == 3.0
        clock.now += 2.0  # the first one should be there, the other one not yet
        assert throughput.expected_wait_s(0.0) == 3.0
        clock.now += 7.0  # late by 7 and by 5
        assert throughput.expected_wait_s(0.0) == 3.0 + 5.0


def test_the_age_of_the_oldest_piece_is_its_time_before_anything_has_been_done(clock: Clock) -> None:
    throughput = ThroughputEstimator(2)
    with throughput.under_way(2.0):
        clock.now += 6.0
        assert throughput.expected_wait_s(4.0) == (4.0 + 2.0) * 3.0 / 2


def test_work_is_timed_and_counts_in_part_where_it_had_to_wait_for_a_place(clock: Clock) -> None:
    throughput = ThroughputEstimator(1)
    with throughput.work(2.0):
        clock.now += 6.0
    assert throughput.known_s == 3.0
    crowded = ThroughputEstimator(1)
    with crowded.under_way(1.0), crowded.work(2.0):
        clock.now += 6.0
    assert crowded.known_s == 1.5


def test_work_that_fails_says_nothing(clock: Clock) -> None:
    throughput = ThroughputEstimator(1)
    with contextlib.suppress(ValueError), throughput.work(1.0):
        clock.now += 1.0
        raise ValueError("it failed")
    assert throughput.known_s is None
    assert throughput.expected_wait_s(1.0) == 0.0


def door(now: Clock) -> Admission:
    return Admission(MAX_QUEUE_WAIT_S, now)


def test_a_reservation_is_taken_at_its_moment_and_kept_until_then() -> None:
    clock = Clock()
    made = door(clock)
    planned = PLANNED * MAX_QUEUE_WAIT_S
    assert made.ask(MAX_QUEUE_WAIT_S + 1, 1.0) == 4  # when so much is done that the wait is the planned one
    assert made.ask(planned - 2.0, 1.0) is None  # what is left fits before it
    assert made.ask(planned + 3.0, 1.5) is not None  # and this would be in its way
    clock.now += 4
    assert made.ask(MAX_QUEUE_WAIT_S, 1.0) is None  # who comes now takes it


def test_a_reservation_is_forgotten_when_its_caller_is_too_late() -> None:
    clock = Clock()
    made = door(clock)
    told = made.ask(MAX_QUEUE_WAIT_S + 1, 1.0)
    assert told is not None
    clock.now += told + LATE_S + 0.1
    assert made.ask(MAX_QUEUE_WAIT_S + 1, 1.0) == told


def test_what_is_done_before_a_reservation_leaves_room_for_it() -> None:
    made = door(Clock())
    assert made.ask(MAX_QUEUE_WAIT_S + 1, 1.0) == 4
    assert made.ask(1.0, 1.0) is None  # both seconds have passed when the other comes


def test_a_request_is_refused_for_those_who_were_told_before_unless_the_model_is_idle() -> None:
    made = door(Clock())
    assert [made.ask(MAX_QUEUE_WAIT_S + 2, 1.0) for _ in range(5)] == [5, 6, 7, 8, 9]
    assert made.ask(0.5, 5.0) is not None  # with the two of them who come first it would make the third wait too long
    assert made.ask(0.0, 5.0) is None


def test_work_that_will_have_been_done_before_a_reservation_delays_none_after_it() -> None:
    made = Admission(1.0, Clock())
    assert [made.reserve(0.2, 0.1) for _ in range(4)] == [1] * 4


def test_no_caller_is_told_less_than_a_second() -> None:
    assert door(Clock()).reserve(0.0, 0.0) == 1
