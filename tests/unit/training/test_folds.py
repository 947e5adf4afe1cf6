"""Which clips are trained on and which are predicted."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.folds import by_group, leave_many_out, leave_out

PEOPLE = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20)), min_size=40, max_size=80)


@settings(deadline=None, max_examples=25)
@given(PEOPLE)
def test_a_person_is_never_on_both_sides_and_each_clip_is_predicted_once(drawn: list[tuple[str, int]]) -> None:
    labels, groups = [label for label, _ in drawn] + ["a", "b"] * 5, [f"p{n}" for _, n in drawn] + ["q"] * 10
    groups = [f"{group}{place % 7}" for place, group in enumerate(groups)]
    splits = by_group(labels, groups)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(labels)))
    for split in splits:
        assert not {groups[place] for place in split.train} & {groups[place] for place in split.test}


def test_what_is_left_out_shares_nothing_with_what_is_trained_on() -> None:
    sources = ["page", "page", "page", "other", "other", "third"]
    systems = ["vits", "", "gtts", "vits", "", ""]
    people = ["ann", "bob", "cid", "dan", "bob", "eve"]
    splits = {split.name: split for split in leave_out(sources, systems, people, smallest=2)}
    assert set(splits) == {"page", "other"}
    assert splits["page"].test.tolist() == [0, 1, 2]
    assert splits["page"].train.tolist() == [5]  # 3 has its synthesiser, 4 its person


def test_several_units_at_a_time_are_evenly_filled_and_stay_whole() -> None:
    units = [f"unit{place % 13}" for place in range(200)]
    splits = leave_many_out(units, folds=4)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(200))
    for split in splits:
        assert not {units[place] for place in split.train} & {units[place] for place in split.test}
        assert 30 <= split.test.size <= 70
