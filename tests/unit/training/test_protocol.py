"""What the protocol measures is of clips that were left out, and can be written down where a class has no clip."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from models import registry
from training import evaluate, protocol
from training.data.datasets import Clip
from training.evaluation import tables
from training.evaluation.folds import Split

CLASSES = ("Artifact", "Murmur", "Normal")
CLIPS = [
    Clip(Path(f"{place}.wav"), label, f"patient {place}", {"source": "a phone"})
    for place, label in enumerate(["Murmur", "Murmur", "Normal", "Normal", "Artifact"])
]


class FirstLabel:
    """A recipe whose models answer with the label of the first clip that they were fitted on."""

    classes: tuple[str, ...] = CLASSES

    def clips(self, data: Path) -> list[Clip]:
        return CLIPS

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        return {}

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        return {}

    def fit(self, clips: Sequence[Clip]) -> protocol.Predict:
        row = np.eye(len(CLASSES))[CLASSES.index(clips[0].label)]
        return lambda others: np.repeat(row[None], len(others), axis=0)


def test_a_clip_has_the_mean_of_those_that_did_not_see_it_and_an_untested_one_none() -> None:
    splits = [Split(np.array(train), np.array(test), "") for train, test in (([0, 4], [2, 3]), ([2, 3], [0, 3]))]
    rows = protocol.out_of_fold(FirstLabel(), CLIPS, splits)
    assert rows[[0, 2, 3]].tolist() == [[0, 0, 1], [0, 1, 0], [0, 0.5, 0.5]]
    assert np.isnan(rows[[1, 4]]).all()


def test_a_class_without_a_clip_has_no_recall() -> None:
    rows = np.array([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8], [np.nan] * 3])
    found = protocol.figures(CLASSES, CLIPS, rows, {"source": ["a phone"] * len(CLIPS)})
    assert found["clips"] == 4
    assert found["recall"] == {"Murmur": 0.5, "Normal": 1.0}
    assert found["macro_recall"] == pytest.approx(0.75)
    assert found["source"]["a phone"] == {"clips": 4, "accuracy": 0.75}
    json.dumps(found, allow_nan=False)


def test_a_class_that_one_scheme_does_not_test_is_blank_in_the_card() -> None:
    whole = protocol.figures(CLASSES, CLIPS, np.eye(3)[[1, 1, 2, 2, 0]], {})
    part = protocol.figures(CLASSES, CLIPS, np.array([[np.nan] * 3] * 4 + [[1.0, 0.0, 0.0]]), {})
    text = "<!-- figures: heart_sound-left-out -->\n<!-- end -->\n"
    filled = tables.fill(text, {}, {"heart_sound": {"patients left out": whole, "other sounds left out": part}})
    assert "| recall | Artifact | Murmur | Normal |" in filled
    assert "| other sounds left out | 1.000 |  |  |" in filled
    assert "| patients left out | 1.000 | 1.000 | 1.000 |" in filled


@pytest.mark.parametrize(
    ("main", "names"),
    [(protocol.main, protocol.RECIPES), (evaluate.main, registry.specs())],
    ids=["protocol", "evaluate"],
)
def test_a_name_that_there_is_not_ends_in_a_line_with_those_that_there_are(
    main: Callable[[Sequence[str]], object], names: Iterable[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nope"])
    assert ended.value.code == 2
    assert f" is called nope, there are {', '.join(names)}" in capsys.readouterr().err.splitlines()[-1]
