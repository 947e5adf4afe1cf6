"""Figures of a model's answers, as plain values that go into ``training/evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.settings import Voting
from models.calibration import Calibration
from training.evaluation import metrics
from training.evaluation.answers import Answers, Rows
from training.evaluation.groups import Key
from training.evaluation.metrics import Figure, Labels, Scores

AI = 1  # column of AI_GENERATED in the ensemble's answers
WEIGHTINGS = {  # of speech encoder, spectrogram CNN and feature network, tried beside the contract's
    "0.50, 0.25, 0.25": (0.50, 0.25, 0.25),
    "0.33, 0.33, 0.33": (1.0, 1.0, 1.0),
    "0.25, 0.50, 0.25": (0.25, 0.50, 0.25),
}


def figures(answers: Answers, groups: Mapping[str, Key]) -> dict[str, Any]:
    """All figures of one model.

    Args:
        answers: On the validation part.
        groups: By title, what gives a clip its group.
    """
    chosen = np.eye(len(answers.classes))[answers.decided]
    counts = metrics.confusion(answers.labels, chosen)
    result: dict[str, Any] = {
        "clips": len(answers.clips),
        "people": len(set(answers.people)),
        "refused": int(answers.refused.sum()),
        **_with_interval("accuracy", metrics.accuracy, answers, chosen),
        **_with_interval("macro_recall", metrics.macro_recall, answers, chosen),
        "classes": {
            name: asdict(report) for name, report in zip(answers.classes, metrics.class_reports(counts), strict=True)
        },
        "confusion": counts.tolist(),
    }
    if len(answers.classes) == 2:
        result |= _with_interval("roc_auc", _roc_auc, answers, answers.served)
        result |= _with_interval("eer", _eer, answers, answers.served)
    result["groups"] = {title: _by_group(answers, key) for title, key in groups.items()}
    return result


def calibration(answers: Answers, cross_fitted: Rows, fitted: Calibration | None = None) -> dict[str, Any]:
    """Expected calibration error and Brier score: before, after, and after a calibration that did not see the clips.

    Args:
        answers: On the validation part, which the served calibration was fitted on.
        cross_fitted: float64 [clips, classes], see ``training.evaluation.cross_fitting``.
        fitted: The served calibration, where one model has one.
    """
    result: dict[str, Any] = {
        when: {
            "ece": metrics.expected_calibration_error(answers.labels, rows),
            "brier": metrics.brier(answers.labels, rows),
        }
        for when, rows in (("before", answers.raw), ("after", answers.served), ("cross_fitted", cross_fitted))
    }
    return result | ({"temperature": fitted.temperature, "bias": list(fitted.bias)} if fitted else {})


def gap(answers: Answers, key: Key) -> dict[str, Any]:
    """Difference of the accuracies of the best and the worst served group, with its interval; clips of the smallest."""
    keys = np.array([key(clip) for clip in answers.clips])
    names = sorted(set(keys.tolist()))

    def difference(labels: Labels, rows: Scores) -> float:
        right = rows[:, 0].astype(int) == labels
        rates = [right[rows[:, 1] == place].mean() for place in range(len(names)) if (rows[:, 1] == place).any()]
        return float(max(rates) - min(rates))

    rows = np.stack([answers.decided, np.searchsorted(names, keys)], axis=1)
    low, high = metrics.interval(difference, answers.labels, rows, answers.people)
    smallest = int(np.bincount(rows[:, 1]).min())
    return {"clips": smallest, "accuracy": difference(answers.labels, rows), "accuracy_95": [low, high]}


def unseen_systems(answers: Answers, kind: Key) -> dict[str, Any]:
    """ROC-AUC and EER of human voices against synthesisers that training had not met."""
    kinds = [kind(clip) for clip in answers.clips]
    chosen = np.array(["human" in name or "unseen" in name for name in kinds])
    rows, labels = answers.served[chosen], answers.labels[chosen]
    people = [person for person, kept in zip(answers.people, chosen, strict=True) if kept]
    return {"clips": int(chosen.sum())} | {
        name: value
        for title, figure in (("roc_auc", _roc_auc), ("eer", _eer))
        for name, value in _interval(title, figure, labels, rows, people).items()
    }


def weightings(members: Sequence[Answers], voting: Voting) -> dict[str, dict[str, float]]:
    """The ensemble under other weights: whether the contract's cost something."""
    labels = members[0].labels
    found = {}
    served = ", ".join(f"{weight:.2f}" for weight in voting.weights)
    for name, weights in {f"{served} (served)": voting.weights, **WEIGHTINGS}.items():
        score = np.average([member.served[:, AI] for member in members], axis=0, weights=weights)
        found[name] = {
            "roc_auc": metrics.roc_auc(labels == AI, score),
            "eer": metrics.equal_error_rate(labels == AI, score),
            "accuracy_at_threshold": float(np.mean((score > voting.threshold) == labels)),
            "accuracy_at_half": float(np.mean((score > 0.5) == labels)),
        }
    return found


def _by_group(answers: Answers, key: Key) -> dict[str, Any]:
    keys, people = np.array([key(clip) for clip in answers.clips]), np.array(answers.people)
    right = answers.decided == answers.labels
    found = {}
    for name in sorted(set(keys.tolist()), key=_numbers_first):
        chosen = keys == name
        size, share = len(set(people[chosen].tolist())), float(right[chosen].mean())
        interval = list(metrics.wilson(share, size))
        found[name] = {"clips": int(chosen.sum()), "people": size, "accuracy": share, "accuracy_95": interval}
    return found


def _numbers_first(name: str) -> tuple[float, str]:
    """Sorts by the number that a name begins with, if it does."""
    first = name.split()[0]
    return (float(first), name) if first.isdigit() else (np.inf, name)


def _with_interval(name: str, figure: Figure, answers: Answers, rows: NDArray[Any]) -> dict[str, Any]:
    return _interval(name, figure, answers.labels, rows, answers.people)


def _interval(name: str, figure: Figure, labels: Labels, rows: NDArray[Any], people: Sequence[str]) -> dict[str, Any]:
    return {name: figure(labels, rows), f"{name}_95": list(metrics.interval(figure, labels, rows, people))}


def _roc_auc(labels: Labels, rows: Scores) -> float:
    return metrics.roc_auc(labels == AI, rows[:, AI])


def _eer(labels: Labels, rows: Scores) -> float:
    return metrics.equal_error_rate(labels == AI, rows[:, AI])
