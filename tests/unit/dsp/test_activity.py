"""Long quiet stretches are cut, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp.temporal import MARGIN_S, active, without_pauses

RATE = 16_000


def loud(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def quiet(seconds: float, level: float = 1e-4) -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(0, level, round(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("before", [0.0, 5.0, 30.0])
@pytest.mark.parametrize("after", [0.0, 15.0])
def test_silence_around_is_cut_to_its_margins(before: float, after: float) -> None:
    clip = np.concatenate([quiet(before), loud(2), quiet(after)])
    assert without_pauses(clip, RATE).size == pytest.approx(2 * RATE, abs=(2 * MARGIN_S + 0.08) * RATE)


def test_a_long_pause_is_cut_and_a_short_one_stays() -> None:
    assert without_pauses(np.concatenate([loud(1), quiet(3), loud(1)]), RATE).size < 2.5 * RATE
    short = np.concatenate([loud(1), quiet(0.4), loud(1)])
    assert without_pauses(short, RATE) is short


def test_what_is_alike_throughout_stays_whole() -> None:
    for clip in (loud(3), quiet(3), np.zeros(3 * RATE, np.float32), np.zeros(0, np.float32), loud(0.01)):
        assert without_pauses(clip, RATE) is clip


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.05, 2.0)), min_size=1, max_size=6))
def test_loud_samples_are_never_cut(parts: list[tuple[bool, float]]) -> None:
    pieces = [loud(seconds) if is_loud else quiet(seconds) for is_loud, seconds in parts]
    clip = np.concatenate(pieces)
    kept = active(clip, RATE)
    truth = np.concatenate([np.full(piece.size, is_loud) for piece, (is_loud, _) in zip(pieces, parts, strict=True)])
    assert kept.shape == clip.shape
    if sum(seconds for is_loud, seconds in parts if is_loud) > 0.1 * sum(seconds for _, seconds in parts):
        assert kept[truth].mean() > 0.97


def test_what_comes_later_has_no_say() -> None:
    """A loud sound at the end of a long recording does not make pauses of the quieter speech before it."""
    before = np.concatenate([loud(1), quiet(3), 0.2 * loud(2), loud(1), quiet(3)] * 5)
    after = np.concatenate([before, 8 * loud(20)])
    size = 29 * RATE  # of the first block, but for the margin of the pause at its end
    np.testing.assert_array_equal(active(before, RATE)[:size], active(after, RATE)[:size])
    assert not active(before, RATE)[:size].all()
