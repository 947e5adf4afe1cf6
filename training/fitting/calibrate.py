"""Fits the calibration of a model on logits of clips that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.calibration import Calibration
from training.evaluation import metrics

BIAS_PENALTY = 0.02  # per squared unit of bias: a bias of 1 must win 0.02 nats a clip
TEMPERATURE_PENALTY = 0.01  # per squared log unit, keeps the temperature finite where val is separated without error


@dataclass(frozen=True, slots=True)
class Report:
    """A fitted calibration and what it changed, on the clips that it was fitted on."""

    calibration: Calibration
    before: dict[str, float]
    after: dict[str, float]

    def __str__(self) -> str:
        """One line."""
        change = ", ".join(f"{name} {self.before[name]:.4f} -> {self.after[name]:.4f}" for name in ("ece", "brier"))
        bias = ", ".join(f"{value:+.3f}" for value in self.calibration.bias)
        return f"temperature {self.calibration.temperature:.3f}, bias [{bias}]: {change}"


def fit(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
    *,
    bias: bool = True,
) -> Report:
    """Least cross-entropy over one temperature and a bias for each class, both drawn softly towards 1 and 0.

    Args:
        logits: float32 [clips, classes].
        labels: int64 [clips].
        weights: [clips], how much each clip counts; all alike where none are given.
        bias: Whether there is a bias; if not, the temperature is fitted alone.

    Returns:
        The calibration, and ECE and Brier score before and after.
    """
    weight = torch.ones(len(labels), dtype=torch.float64) if weights is None else torch.from_numpy(weights)
    scores, truth = torch.from_numpy(logits).double(), torch.from_numpy(labels)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    offsets = torch.zeros(scores.shape[1], dtype=torch.float64, requires_grad=bias)
    free = [log_temperature, offsets] if bias else [log_temperature]
    optimiser = torch.optim.LBFGS(free, max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        losses = torch.nn.functional.cross_entropy(scores / log_temperature.exp() + offsets, truth, reduction="none")
        penalty = BIAS_PENALTY * offsets.square().sum() + TEMPERATURE_PENALTY * log_temperature.square()
        value = (losses * weight).sum() / weight.sum() + penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    centred = (offsets - offsets.mean()).detach().numpy()
    calibration = Calibration(float(log_temperature.detach().exp()), tuple(float(b) for b in centred))
    identity = Calibration.identity(scores.shape[1])
    before, after = (metrics.summary(labels, c.probabilities(logits)) for c in (identity, calibration))
    return Report(calibration, before, after)
