"""Figures of classifiers, from labels and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

Labels = NDArray[np.int64]
Scores = NDArray[np.floating[Any]]
Figure = Callable[[Labels, Scores], float]


def accuracy(labels: Labels, probabilities: Scores) -> float:
    """Share of clips whose likeliest class is right.

    Args:
        labels: int64 [clips].
        probabilities: [clips, classes].
    """
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def recalls(labels: Labels, probabilities: Scores) -> NDArray[np.float64]:
    """Recall of each class, float64 [classes]; NaN for classes without a clip."""
    guesses = probabilities.argmax(axis=1)
    hits = [guesses[labels == c] == c for c in range(probabilities.shape[1])]
    return np.array([h.mean() if h.size else np.nan for h in hits])


def macro_recall(labels: Labels, probabilities: Scores) -> float:
    """Mean of the recalls of the classes that occur (balanced accuracy)."""
    return float(np.nanmean(recalls(labels, probabilities)))


def confusion(labels: Labels, probabilities: Scores) -> NDArray[np.int64]:
    """Counts int64 [true class, predicted class]."""
    classes = np.arange(probabilities.shape[1])
    return np.asarray(confusion_matrix(labels, probabilities.argmax(axis=1), labels=classes), np.int64)


@dataclass(frozen=True, slots=True)
class ClassReport:
    """Figures of one class.

    Attributes:
        precision: Share of the answers with this class that are right; NaN when there is none.
        recall: Share of the clips of this class that are found; NaN when there is none.
        f1: Harmonic mean of both: twice what is found rightly, over clips and answers of the class together.
        support: Clips of this class.
    """

    precision: float
    recall: float
    f1: float
    support: int


def class_reports(counts: NDArray[np.int64]) -> list[ClassReport]:
    """One report for each class, from a confusion matrix, int64 [true class, predicted class]."""
    found, clips, answers = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        rows = zip(found / answers, found / clips, 2 * found / (clips + answers), clips, strict=True)
        return [ClassReport(float(p), float(r), float(f), int(n)) for p, r, f, n in rows]


def wilson(share: float, size: float, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share, which keeps its width where nothing, or everything, is right.

    Args:
        share: 0 to 1.
        size: Independent observations, at least one.
        z: Standard deviations: 1.96 for a coverage of 95 %.
    """
    centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return float(centre - half), float(centre + half)


def roc_auc(positive: NDArray[np.bool_], scores: Scores) -> float:
    """Area under the ROC curve: the chance that a positive clip scores above a negative one, ties counting half.

    Args:
        positive: bool [clips].
        scores: [clips], larger for positive.

    Returns:
        NaN when one of the sides is empty.
    """
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, scores))


def equal_error_rate(positive: NDArray[np.bool_], scores: Scores) -> float:
    """Error rate at the threshold where misses and false alarms are equally frequent.

    Args:
        positive: bool [clips].
        scores: [clips], larger for positive.

    Returns:
        Interpolated between the two thresholds around the crossing; NaN when one of the sides is empty.
    """
    if positive.all() or not positive.any():
        return float("nan")
    alarms, hits, _ = roc_curve(positive, scores, drop_intermediate=False)
    gap = alarms - (1.0 - hits)  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(alarms[after - 1] + share * (alarms[after] - alarms[after - 1]))


def expected_calibration_error(labels: Labels, probabilities: Scores, bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over ``bins`` equally wide bins of confidence (Guo et al., 2017)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / labels.size)


def brier(labels: Labels, probabilities: Scores) -> float:
    """Mean squared distance from the one-hot truth, summed over classes: 0 is perfect, 2 is worst."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))


def summary(labels: Labels, probabilities: Scores) -> dict[str, float]:
    """All figures that apply; with two classes also ROC-AUC and EER of the second one."""
    figures = {
        "accuracy": accuracy(labels, probabilities),
        "macro_recall": macro_recall(labels, probabilities),
        "ece": expected_calibration_error(labels, probabilities),
        "brier": brier(labels, probabilities),
    }
    if probabilities.shape[1] == 2:
        figures["roc_auc"] = roc_auc(labels == 1, probabilities[:, 1])
        figures["eer"] = equal_error_rate(labels == 1, probabilities[:, 1])
    return figures


def interval(
    figure: Figure,
    labels: Labels,
    probabilities: Scores,
    groups: Sequence[Hashable],
    *,
    rounds: int = 1000,
    coverage: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a figure, drawing whole groups (speakers, recordings) with replacement.

    Args:
        figure: Takes labels and probabilities, as the functions here do.
        labels: int64 [clips].
        probabilities: [clips, classes].
        groups: One value for each clip; clips of a group are drawn together, as they are not independent.
        rounds: Number of draws.
        coverage: Share of draws inside the interval.
        seed: Of the draws.

    Returns:
        Lower and upper end.
    """
    rng = np.random.default_rng(seed)
    names: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        names.setdefault(group, []).append(place)
    members = [np.array(places) for places in names.values()]
    values = []
    for _ in range(rounds):
        drawn = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        values.append(figure(labels[drawn], probabilities[drawn]))
    tail = (1.0 - coverage) / 2.0
    low, high = np.nanquantile(values, (tail, 1.0 - tail))
    return float(low), float(high)
