"""Calibration as it would be on other people: fitted without the clips that it is measured on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from training.evaluation.answers import Answers, Rows
from training.fitting import calibrate

FOLDS = 5
SMALLEST = 1e-45  # probability; its logarithm is finite


def cross_fitted(answers: Answers, shift: NDArray[np.float64] | None = None) -> Rows:
    """Probabilities of each fifth of the groups by a calibration that is fitted on the others.

    Args:
        answers: On the validation part, of two groups (people, recordings) at least.
        shift: float64 [classes], added to the logits before a temperature alone is fitted; with None a bias for each
            class is fitted too.

    Returns:
        float64 [clips, classes], each row summing to 1.
    """
    logits = (np.log(np.maximum(answers.raw, SMALLEST)) + (0.0 if shift is None else shift)).astype(np.float32)
    rows = np.empty_like(answers.raw)
    folds = GroupKFold(min(FOLDS, len(set(answers.people))))
    for others, measured in folds.split(logits, answers.labels, answers.people):
        kept = others[~answers.refused[others]]  # what was refused has no logits
        fitted = calibrate.fit(logits[kept], answers.labels[kept], bias=shift is None).calibration
        rows[measured] = fitted.probabilities(logits[measured])
    return rows
