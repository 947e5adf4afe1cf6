"""How the AI-voice members are weighed is chosen by their answers to clips that they have not met."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from core.settings import Voting
from training import ensemble, voting
from training.data.datasets import Clip
from training.fitting import members
from training.protocol import Predict, Rows

CLIPS = 400
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, CLIPS)


def knowing(strength: float) -> np.ndarray:
    """Scores of a member, float64 [clips]: the truth so many standard deviations from one class to the other."""
    told = strength * (LABELS == members.AI) + RNG.standard_normal(CLIPS) - strength / 2
    return np.asarray(1 / (1 + np.exp(-told)), np.float64)


def test_a_member_that_knows_nothing_hardly_counts() -> None:
    scores = np.stack([knowing(3.0), knowing(2.0), RNG.uniform(size=CLIPS)], axis=1)
    chosen = voting.choose(scores, LABELS)
    assert sum(chosen.weights) == pytest.approx(1)
    assert chosen.weights[0] > chosen.weights[1] > chosen.weights[2]
    alarms, missed = voting.errors(scores @ chosen.weights, LABELS, chosen.threshold)
    assert abs(alarms - missed) < 0.03


def test_scores_are_uncertain_where_more_than_a_quarter_of_the_answers_is_wrong() -> None:
    weighed = (np.arange(1000) + 0.5) / 1000
    labels = np.where(weighed > 0.5, members.AI, 1 - members.AI)
    assert voting.uncertain(weighed, labels, 0.5) == (0.5, 0.5)
    near = (weighed > 0.4) & (weighed < 0.55)
    turned = np.where(near & (np.arange(1000) % 3 == 0), 1 - labels, labels)
    assert voting.uncertain(weighed, turned, 0.5) == (0.4, 0.55)


def test_a_choice_is_judged_by_speakers_that_it_was_not_made_by() -> None:
    scores = np.stack([knowing(3.0), knowing(2.0), knowing(1.0)], axis=1)
    clips = [
        Clip(Path(f"{place}.wav"), ensemble.RECIPE.classes[LABELS[place]], f"{place // 4}", {})
        for place in range(CLIPS)
    ]
    found = voting.without(scores, LABELS, clips)
    by_speaker: dict[str, set[Voting]] = {}
    for clip, one in zip(clips, found, strict=True):
        by_speaker.setdefault(clip.group, set()).add(one)
    assert all(len(choices) == 1 for choices in by_speaker.values())
    said = voting.judged(scores, LABELS, found)
    assert said.startswith("ROC-AUC 0.9")


def test_each_member_is_asked_about_pages_that_it_has_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    def clip(number: int, label: str) -> Clip:
        system = "human" if label == "HUMAN" else f"system {number}"
        fields = {"source": f"github:a/{label}{number}@1:x", "system": system, "language": "en", "licence": "CC0"}
        return Clip(Path(f"{label}{number}.wav"), label, f"voice {label}{number}", fields)

    class Member:
        classes = ensemble.RECIPE.classes

        def __init__(self, score: float) -> None:
            self.score = score

        def clips(self, data: Path) -> list[Clip]:
            return clips

        def fit(self, met: Sequence[Clip]) -> Predict:
            def predict(others: Sequence[Clip]) -> Rows:
                assert not {one.fields["source"] for one in met} & {one.fields["source"] for one in others}
                return np.tile([1.0 - self.score, self.score], (len(others), 1))

            return predict

    clips = [clip(number, label) for number in range(10) for label in ensemble.RECIPE.classes]
    monkeypatch.setattr(ensemble, "RECIPES", [Member(score) for score in (0.1, 0.2, 0.3)])
    found, scores = voting.left_out(Path("anywhere"))
    assert found == clips
    np.testing.assert_allclose(scores, [[0.1, 0.2, 0.3]] * len(clips))


def test_the_command_says_what_is_served_and_what_would_be_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scores = np.stack([knowing(3.0), knowing(2.0), knowing(1.0)], axis=1)
    names = [ensemble.RECIPE.classes[label] for label in LABELS.tolist()]
    clips = [Clip(Path(f"{place}.wav"), name, f"{place // 4}", {}) for place, name in enumerate(names)]
    monkeypatch.setattr(voting, "left_out", lambda data: (clips, scores))
    voting.main(["--data", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{CLIPS} clips")
    assert [line.split(":")[0] for line in lines[1::2]] == [
        "served",
        "chosen",
        "chosen without a fifth of the speakers",
    ]
    assert all("ROC-AUC 0." in line for line in lines[2::2])
