"""What is known of the time that parsing and decoding take."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from scheduling import throughput
from scheduling.throughput import OVERHEAD_BYTES, REMEMBERED_OF_A_KIND, DecodingEstimator, Rate
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(throughput, "time", SimpleNamespace(monotonic=made))
    return made


def test_kinds_are_not_mixed_up() -> None:
    """Of an AI voice a thread parses JSON and base64 in milliseconds, and decodes for a third of a second.

    The lower median of all these pieces said 0.08 s where 6 s were true.
    """
    reading = DecodingEstimator(2)
    for _ in range(20):
        reading.note("json", 0.002, 700_000)
        reading.note("base64", 0.003, 700_000)
        reading.note("audio", 0.3, 500_000)
    with contextlib.ExitStack() as under_way:
        for _ in range(40):
            under_way.enter_context(reading.under_way("audio", 500_000))
        assert reading.expected_wait_s() == pytest.approx(6.0, rel=0.01)
        assert reading.each_s == pytest.approx(0.15, rel=0.01)
    assert reading.expected_wait_s() == 0


def test_time_follows_the_size() -> None:
    reading = DecodingEstimator(1)
    for size in (100_000, 1_000_000):
        for _ in range(8):
            reading.note("audio", size * 1e-6, size)
    with reading.under_way("audio", 10_000_000):
        assert reading.expected_wait_s() == pytest.approx(10.0, rel=0.05)
    with reading.under_way("audio", 0):
        assert reading.expected_wait_s() == pytest.approx(OVERHEAD_BYTES * 1e-6, rel=0.05)


def test_one_piece_that_was_held_up_shuts_no_request_out() -> None:
    reading = DecodingEstimator(1)
    for seconds in (0.1, 60.0, 0.1, 0.1):
        reading.note("audio", seconds, 100_000)
    with reading.under_way("audio", 100_000):
        assert reading.expected_wait_s() < 0.2


def test_what_stays_slow_is_learnt() -> None:
    reading = DecodingEstimator(1)
    for seconds in [0.1] * REMEMBERED_OF_A_KIND + [1.0] * REMEMBERED_OF_A_KIND:
        reading.note("audio", seconds, 100_000)
    with reading.under_way("audio", 100_000):
        assert reading.expected_wait_s() == pytest.approx(1.0)


def test_a_kind_that_is_not_known_costs_nothing_yet() -> None:
    reading = DecodingEstimator(1)
    with reading.under_way("image", 100_000):
        assert reading.expected_wait_s() < 1
        assert reading.each_s == 0


def test_a_rate_is_all_the_time_by_all_the_size_without_the_longest_piece() -> None:
    rate = Rate()
    assert rate.seconds(100) == 0.0
    rate.note(2.0, 4 * OVERHEAD_BYTES)
    assert rate.seconds(9 * OVERHEAD_BYTES) == pytest.approx(4.0)
    rate.note(60.0, 4 * OVERHEAD_BYTES)
    assert rate.seconds(4 * OVERHEAD_BYTES) == pytest.approx(2.0)
    rate.note(1.0, 4 * OVERHEAD_BYTES)
    assert rate.seconds(4 * OVERHEAD_BYTES) == pytest.approx(1.5)


def test_a_failure_counts_only_where_it_took_longer_than_expected(clock: Clock) -> None:
    decoding = DecodingEstimator()
    size = 3 * OVERHEAD_BYTES
    for _ in range(2):
        decoding.note("audio", 2.0, size)

    def expected() -> float:
        with decoding.under_way("audio", size):
            return decoding.expected_wait_s()

    assert expected() == pytest.approx(2.0)
    decoding.note("audio", 0.001, 0, size)
    decoding.note("audio", 2.0, 0, size)
    assert expected() == pytest.approx(2.0)
    for _ in range(2):
        decoding.note("audio", 6.0, 0, size)
    assert expected() == pytest.approx((2.0 + 2.0 + 6.0) / 3)


def test_what_was_decoded_counts_by_its_size_and_not_by_the_expected_one(clock: Clock) -> None:
    decoding = DecodingEstimator()
    decoding.note("audio", 2.0, OVERHEAD_BYTES, 9 * OVERHEAD_BYTES)
    with decoding.under_way("audio", 3 * OVERHEAD_BYTES):
        assert decoding.expected_wait_s() == pytest.approx(4.0)


def test_decoding_is_late_where_every_thread_takes_too_long(clock: Clock) -> None:
    decoding = DecodingEstimator(2)
    for _ in range(2):
        decoding.note("audio", 4.0, 1000)
    with decoding.under_way("audio", 1000):
        clock.now += 100.0  # there is another thread
        assert decoding.expected_wait_s() == pytest.approx(2.0)
        with decoding.under_way("audio", 1000):
            assert decoding.expected_wait_s() == pytest.approx(4.0)
            clock.now += 7.0
            assert decoding.expected_wait_s() == pytest.approx(4.0 + 3.0)
            assert decoding.each_s == pytest.approx(2.0)
