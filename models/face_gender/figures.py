"""What the face model gets right, by age and ethnicity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.face_gender.data import FaceSet
from training.evaluation import metrics

AGE_BANDS = ((3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 116))  # years, both ends in
TARGET_AGES = (20, 69)


def figures(faces: FaceSet, probabilities: NDArray[np.floating[Any]]) -> dict[str, dict[str, float]]:
    """Figures by group.

    Args:
        faces: The pictures.
        probabilities: float [pictures, classes]; logits do for the accuracies.

    Returns:
        For each group ``accuracy``, ``pictures`` and the recall of each class; the entry ``gap`` has the difference
        between the ethnicities with the highest and the lowest accuracy, at all ages and at ages 20 to 69.
    """
    adults = _aged(faces, *TARGET_AGES)
    groups = {"all": np.ones(len(adults), dtype=bool), "age 20-69": adults}
    groups |= {f"age {low}-{high}": _aged(faces, low, high) for low, high in AGE_BANDS}
    groups |= {f"ethnicity {name}": faces.ethnicities == name for name in _names(faces)}
    groups |= {f"adult ethnicity {name}": adults & (faces.ethnicities == name) for name in _names(faces)}
    measured = {name: _measure(faces.labels[rows], probabilities[rows]) for name, rows in groups.items() if rows.any()}
    return measured | {"gap": {"all": _gap(measured, "ethnicity "), "age 20-69": _gap(measured, "adult ethnicity ")}}


def _aged(faces: FaceSet, low: int, high: int) -> NDArray[np.bool_]:
    return np.asarray((faces.ages >= low) & (faces.ages <= high))


def _names(faces: FaceSet) -> list[str]:
    return sorted(set(faces.ethnicities.tolist()))


def _measure(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> dict[str, float]:
    female, male = metrics.recalls(labels, probabilities)
    return {
        "accuracy": metrics.accuracy(labels, probabilities),
        "female": float(female),
        "male": float(male),
        "pictures": float(len(labels)),
    }


def _gap(measured: dict[str, dict[str, float]], prefix: str) -> float:
    rates = [group["accuracy"] for name, group in measured.items() if name.startswith(prefix)]
    return max(rates) - min(rates)
