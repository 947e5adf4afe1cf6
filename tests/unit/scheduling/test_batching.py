"""Which items go together, in the queue and in a runner."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduling.policy import IN_LINE, choose, plan


@given(st.lists(st.integers(0, 500), max_size=100), st.integers(1, 1000), st.integers(1, 32), st.floats(0, 0.99))
def test_a_plan_has_every_item_once_and_keeps_its_bounds(
    lengths: list[int], budget: int, most: int, padding: float
) -> None:
    batches = plan(lengths, budget, most, padding)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= most
        padded = max(lengths[index] for index in batch) * len(batch)
        assert len(batch) == 1 or padded <= budget
        assert padded - sum(lengths[index] for index in batch) <= padding * padded


def test_neighbours_in_length_go_together() -> None:
    assert plan([5, 100, 6, 99], max_batch_cost=200, max_batch_items=8, padding=0.2) == [[0, 2], [3, 1]]


def test_without_padding_only_equals_go_together() -> None:
    assert plan([5, 5, 6, 5], max_batch_cost=200, max_batch_items=8, padding=0) == [[0, 1, 3], [2]]
    assert plan([1, 2], max_batch_cost=200, max_batch_items=8, padding=0) == [[0], [1]]


def test_choose_takes_the_oldest_and_those_most_like_it() -> None:
    assert choose([3.0, 9.0, 1.0, 3.1, 2.5], max_batch_cost=10.0, max_batch_items=3) == [0, 3, 4]
    assert choose([20.0, 1.0], max_batch_cost=10.0, max_batch_items=3) == [0]
    assert choose([], max_batch_cost=10.0, max_batch_items=3) == []


def test_choose_passes_over_those_next_in_line_and_no_others() -> None:
    costs = [3.0, *[9.0] * (IN_LINE - 2), 3.0, 3.0]
    assert choose(costs, max_batch_cost=8.0, max_batch_items=16) == [0, IN_LINE - 1]


def test_a_batch_that_may_be_larger_is_chosen_among_more() -> None:
    """A GPU takes hundreds of clips at once, and a call that carried eight would starve it."""
    assert len(choose([5.0] * 200, max_batch_cost=320.0, max_batch_items=256)) == 64
    assert len(choose([5.0] * 200, max_batch_cost=1000.0, max_batch_items=256)) == 128  # half of the largest in line


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=40), st.floats(1, 60), st.integers(1, 16))
def test_choose_keeps_its_bounds(costs: list[float], budget: float, most: int) -> None:
    batch = choose(costs, budget, most)
    assert batch[0] == 0
    assert len(batch) == len(set(batch)) <= most
    assert len(batch) == 1 or max(costs[index] for index in batch) * len(batch) <= budget
