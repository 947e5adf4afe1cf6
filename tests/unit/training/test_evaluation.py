"""The parts of the evaluation: reports, intervals, groups, sizes, and what calibration undoes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from core.settings import VOTING, Settings
from models import registry
from models.calibration import Calibration
from training.data.datasets import Clip
from training.evaluation import answers, figures, metrics
from training.evaluation.answers import Answers
from training.evaluation.cross_fitting import cross_fitted
from training.evaluation.groups import groupings
from training.evaluation.size import size


def clip(label: str = "HUMAN", person: str = "p", **fields: str) -> Clip:
    return Clip(Path("x.flac"), label, person, fields)


def given(labels: list[int], scores: list[float], people: list[str]) -> Answers:
    """Answers of two classes with given probabilities of the second one."""
    rows: NDArray[np.float64] = np.array([[1 - score, score] for score in scores])
    clips = [clip("AI_GENERATED" if label else "HUMAN", person) for label, person in zip(labels, people, strict=True)]
    refused = np.zeros(len(labels), bool)
    return Answers(("HUMAN", "AI_GENERATED"), clips, np.array(labels), rows, rows, rows.argmax(axis=1), refused)


def test_class_reports_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, guesses = rng.integers(4, size=200), rng.integers(4, size=200)
    expected = reference.precision_recall_fscore_support(labels, guesses)
    for place, report in enumerate(metrics.class_reports(reference.confusion_matrix(labels, guesses))):
        found = (report.precision, report.recall, report.f1, report.support)
        assert found == pytest.approx([column[place] for column in expected])


def test_a_class_without_answers_has_no_precision_and_one_without_clips_no_recall() -> None:
    first, second = metrics.class_reports(np.array([[0, 3], [0, 0]]))
    assert np.isnan(first.precision)
    assert first.recall == 0.0
    assert np.isnan(second.recall)


def test_wilson_interval_keeps_its_width_where_all_is_right() -> None:
    low, high = metrics.wilson(1.0, 10)
    assert low == pytest.approx(0.7225, abs=1e-3)  # Wilson (1927); as in statsmodels' proportion_confint
    assert high == pytest.approx(1.0)
    assert metrics.wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-3)


def test_calibration_can_be_undone() -> None:
    logits = np.random.default_rng(1).normal(0, 4, (50, 3)).astype(np.float32)
    calibration = Calibration(0.6, (0.4, -0.1, -0.3))
    undone = calibration.undone(calibration.probabilities(logits).astype(np.float64))
    np.testing.assert_allclose(undone, Calibration.identity(3).probabilities(logits), atol=1e-5)


def test_a_cross_fitted_calibration_did_not_see_the_people_that_it_is_measured_on() -> None:
    """Labels turned round in one group change what is fitted for the others, and not for the group itself."""
    rng = np.random.default_rng(2)
    labels, people = rng.integers(2, size=60), np.repeat(list("abcdef"), 10)
    scores = np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0.01, 0.99).tolist()
    own = people == "a"
    plain = cross_fitted(given(labels.tolist(), scores, people.tolist()))
    turned = cross_fitted(given(np.where(own, 1 - labels, labels).tolist(), scores, people.tolist()))
    np.testing.assert_allclose(turned[own], plain[own])
    assert (np.abs(turned[~own] - plain[~own]).max(axis=1) > 1e-3).any()
    np.testing.assert_allclose(plain.sum(axis=1), 1, atol=1e-5)


def test_where_the_bias_is_given_only_the_temperature_is_cross_fitted() -> None:
    rng = np.random.default_rng(3)
    labels, people = rng.integers(2, size=60), np.repeat(list("abcdef"), 10)
    one = given(labels.tolist(), rng.uniform(0.05, 0.95, 60).tolist(), people.tolist())
    shift = np.array([-0.4, 0.4])
    logits = np.log(one.raw) + shift
    ratio = np.diff(np.log(cross_fitted(one, shift)), axis=1) / np.diff(logits, axis=1)
    for person in "abcdef":
        assert np.ptp(ratio[people == person]) < 1e-3


def test_the_ensemble_decides_at_its_threshold_and_is_measured_so() -> None:
    member = given([0, 0, 1, 1], [0.1, 0.52, 0.53, 0.9], ["a", "b", "c", "d"])
    joined = answers.ensemble([member] * 3, Settings(profile="published"))
    assert joined.decided.tolist() == [0, 0, 0, 1]
    measured = figures.figures(joined, {})
    assert measured["accuracy"] == 0.75
    assert measured["classes"]["AI_GENERATED"]["recall"] == 0.5
    assert measured["roc_auc"] == 1.0
    tried = figures.weightings([member] * 3, VOTING["published"])
    assert tried["0.50, 0.25, 0.25"]["accuracy_at_threshold"] == 0.75
    assert tried["0.50, 0.25, 0.25"]["accuracy_at_half"] == 0.75


def test_the_gap_is_between_the_best_and_the_worst_group() -> None:
    one = given([0, 0, 0, 0], [0.1, 0.1, 0.9, 0.1], ["a", "b", "c", "d"])
    found = figures.gap(one, lambda member: "x" if member.group in "ab" else "y")
    assert found["accuracy"] == 0.5
    low, high = found["accuracy_95"]
    assert 0.0 <= low <= 0.5 <= high <= 1.0


def test_groups_tell_what_was_heard_from_what_was_not() -> None:
    kind = groupings("deepfake_cnn", [clip(system="VITS")])["system"]
    systems = ("human", "VITS", "AutoVC", "espeak-ng")
    assert [kind(clip(system=system)) for system in systems] == [
        "human",
        "neural, seen in training",
        "neural, unseen in training",
        "classic, unseen in training",
    ]
    ages = groupings("face_gender", [])
    assert ages["ages"](clip(age="70")) == "others"
    assert ages["age"](clip(age="69")) == "60 to 69"


@pytest.mark.parametrize("name", ["voice_gender", "face_gender", "deepfake_mlp"])
def test_parameters_are_counted_as_the_library_counts_them(name: str) -> None:
    weights = registry.complete(name)
    if name == "face_gender":
        from models.face_gender.network import load_native

        expected = load_native(weights).count_params()
    else:
        from safetensors.torch import load_file

        expected = sum(tensor.numel() for tensor in load_file(next(weights.glob("*.safetensors"))).values())
    for head in weights.glob("head.npz"):
        with np.load(head) as arrays:
            expected += sum(np.size(arrays[name]) for name in arrays.files if name != "speech_only")
    found = size(weights)
    assert found["parameters"] == expected
    assert 0.3 < found["compiled_mb"] / found["native_mb"] < 1.5
