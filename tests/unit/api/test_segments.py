"""Where the windows of a recording lie in it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from api.v1.report import bounds
from models import registry
from models.spec import split
from training.evaluation.published_figures import FILE_NAME, TRAINING, shipped


@pytest.mark.parametrize(("size", "window", "piece"), [(100, 30, 100), (90, 30, 90), (7, 30, 30), (250, 30, 100)])
def test_without_pauses_they_follow_one_another(size: int, window: int, piece: int) -> None:
    found = bounds(np.full(size, True), window, piece)
    assert found[0][0] == 0
    assert found[-1][1] == size
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))
    if piece == size:
        assert [end - start for start, end in found] == [
            len(part) for part in split(np.zeros(size, np.float32), window)
        ]


def test_what_was_cut_lies_between_or_within_them() -> None:
    kept = np.full(100, True)
    kept[:10] = kept[40:60] = kept[95:] = False
    found = bounds(kept, 35, 100)
    assert found[0][0] == 10
    assert found[-1][1] == 95
    assert sum(int(kept[start:end].sum()) for start, end in found) == kept.sum()


@pytest.mark.parametrize("name", registry.specs())
def test_the_shipped_figures_are_those_that_were_measured(name: str) -> None:
    """``python -m training.evaluation.published_figures`` writes them."""
    evaluation, left_out = (json.loads((TRAINING / file).read_text()) for file in ("evaluation.json", "left_out.json"))
    written = json.loads((registry.weights(name).parent / FILE_NAME).read_text())
    assert written == shipped(name, evaluation, left_out)
