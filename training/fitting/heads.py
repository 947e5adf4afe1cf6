"""Heads on the encoder's statistics, fitted in closed form or by convex optimisation."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from engine.compiled import CompiledEngine, computes_bf16
from models.calibration import Calibration
from models.completion import complete
from models.encoder import HEAD
from models.encoder.network import load_native
from models.encoder.processing import PROCESSOR
from models.store import BF16_DIFFERENCE, DIFFERENCE, MAX_DIFFERENCE, RECORD
from models.values import IR_MODEL
from training import export
from training.fitting.augment import Audio

Rows = NDArray[np.float32]
BATCH = 8  # clips that the compiled form is compared on at once


@dataclass(frozen=True, slots=True)
class Head:
    """``rows @ weight + bias``.

    Attributes:
        weight: float64 [features, classes].
        bias: float64 [classes].
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, rows: Rows) -> NDArray[np.float64]:
        """Float64 [clips, classes]."""
        return np.asarray(rows @ self.weight + self.bias)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept of it, by name."""
        return {"weight": self.weight.astype(np.float32), "bias": self.bias.astype(np.float32)}


@dataclass(frozen=True, slots=True)
class KernelHead:
    """``exp(-|rows @ projection - support|^2) @ weight``: near to which training clips a clip lies.

    Attributes:
        projection: float64 [features, axes].
        support: float64 [training clips, axes].
        weight: float64 [training clips, classes].
    """

    projection: NDArray[np.float64]
    support: NDArray[np.float64]
    weight: NDArray[np.float64]

    def logits(self, rows: Rows) -> NDArray[np.float64]:
        """Float64 [clips, classes]."""
        return np.asarray(kernel(rows @ self.projection, self.support) @ self.weight)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept of it, by name."""
        half = {
            "projection": self.projection,
            "support": self.support,
        }  # a thousandth of a distance, and half the bytes
        return {name: values.astype(np.float16) for name, values in half.items()} | {
            "weight": self.weight.astype(np.float32)
        }


def kernel(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """``exp(-d^2)`` of each pair of points, float64 [ones, others]."""
    squares = np.square(ones).sum(axis=1)[:, None] + np.square(others).sum(axis=1) - 2.0 * ones @ others.T
    return np.asarray(np.exp(-np.maximum(squares, 0.0)))


def logistic(rows: Rows, labels: NDArray[np.int64], weights: NDArray[np.float64], strength: float) -> Head:
    """Logistic regression on standardised features.

    Args:
        rows: float32 [clips, features].
        labels: int64 [clips].
        weights: float64 [clips], of each clip in the loss.
        strength: Inverse of the penalty (``C`` of scikit-learn).
    """
    mean, spread = standard(rows, weights)
    model = LogisticRegression(C=strength, max_iter=400).fit((rows - mean) / spread, labels, sample_weight=weights)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(coefficients) == 1:  # two classes: the second one's log odds
        coefficients, intercepts = np.concatenate([-coefficients, coefficients]) / 2, np.array([-0.5, 0.5]) * intercepts
    weight = (coefficients / spread).T
    return Head(weight, intercepts - mean @ weight)


def standard(rows: Rows, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean and standard deviation of each feature; a constant one has 1."""
    mean = np.average(rows, axis=0, weights=weights)
    spread = np.sqrt(np.average(np.square(rows - mean), axis=0, weights=weights))
    return np.asarray(mean, np.float64), np.where(spread > 1e-3, spread, 1.0).astype(np.float64)


def ridge(
    rows: Rows,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    *,
    axes: int,
    width: float,
    penalty: float,
    favoured: int | None = None,
    favour: float = 1.0,
) -> KernelHead:
    """Kernel ridge regression (a least-squares support vector machine) on principal axes of standardised features.

    Args:
        rows: float32 [clips, features].
        labels: int64 [clips].
        weights: float64 [clips], of each clip in the loss, 1 on average.
        axes: How many principal axes.
        width: Distance, in standard deviations of one feature times the root of their number, at which likeness fades.
        penalty: On the weights.
        favoured: Features from this place on are scaled up, where one is given.
        favour: By how much.
    """
    mean, spread = standard(rows, np.ones(len(rows)))
    if favoured is not None:
        spread[favoured:] /= favour
    scaled = (rows - mean) / spread
    directions = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1][:, :axes]
    projection = directions / spread[:, None] / (width * np.sqrt(rows.shape[1]))
    support = rows @ projection  # distances do not need the mean
    truth = np.eye(labels.max() + 1)[labels] - 1.0 / (labels.max() + 1)
    gram = kernel(support, support)
    gram[np.diag_indices_from(gram)] += penalty / weights
    return KernelHead(projection, support, np.linalg.solve(gram, truth))


def held_out(
    head: KernelHead,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    penalty: float,
    parts: Sequence[NDArray[np.int64]],
) -> NDArray[np.float64]:
    """What a head of ``ridge`` says of each part of its clips where it is fitted without that part.

    Least squares have that in closed form (Rifkin and Lippert, "Notes on regularized least squares", 2007), so nothing
    is fitted again; only the axes are those of all clips.

    Args:
        head: As ``ridge`` fitted it on all clips.
        labels: int64 [clips].
        weights: float64 [clips], as ``ridge`` took them.
        penalty: Likewise.
        parts: Positions of the clips of each part; every clip is in one.

    Returns:
        Logits, float64 [clips, classes].
    """
    gram = kernel(head.support, head.support)
    gram[np.diag_indices_from(gram)] += penalty / weights
    inverse = np.linalg.inv(gram)
    logits = np.eye(head.weight.shape[1])[labels] - 1.0 / head.weight.shape[1]
    for part in parts:
        logits[part] -= np.linalg.solve(inverse[np.ix_(part, part)], head.weight[part])
    return np.asarray(logits, np.float64)


class Kept(Protocol):
    """A fitted head of any kind."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept of it, by name."""


def save(head: Kept, calibration: Calibration, weights: Path, *, speech_only: bool) -> None:
    """Writes a weights folder anew."""
    shutil.rmtree(weights, ignore_errors=True)
    weights.mkdir(parents=True)
    np.savez(weights / HEAD, allow_pickle=False, **head.arrays() | {"speech_only": np.array(speech_only)})
    calibration.save(weights)


def record(weights: Path, clips: Sequence[Audio]) -> float:
    """Compares the compiled form with the native network on clips, and writes the record of a weights folder.

    Args:
        weights: As ``save`` leaves it.
        clips: float32 [samples] at 16 kHz each.

    Returns:
        The largest difference of a calibrated probability.

    Raises:
        ValueError: The difference is above ``MAX_DIFFERENCE``.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "entry"
        shutil.copytree(weights, folder)
        complete(folder)
        differences = {DIFFERENCE: _difference(folder, clips, "f32")}
        if computes_bf16(ov.Core()):
            differences[BF16_DIFFERENCE] = _difference(folder, clips, "bf16")
    if not differences[DIFFERENCE] <= MAX_DIFFERENCE:
        raise ValueError(f"compiled and native probabilities differ by {differences[DIFFERENCE]:.4f}")
    hashes = export.digests(weights)
    content = {**differences, "checked_clips": len(clips), "openvino": ov.__version__, "sha256": hashes}
    (weights / RECORD).write_text(json.dumps(content, indent=1) + "\n")
    return differences[DIFFERENCE]


def _difference(folder: Path, clips: Sequence[Audio], precision: str) -> float:
    """Largest difference of a probability between the forms of a complete folder."""
    compiled, native = CompiledEngine(folder / IR_MODEL, precision=precision), load_native(folder)
    calibration, largest = Calibration.load(folder), 0.0
    for start in range(0, len(clips), BATCH):
        batch = PROCESSOR.collate([PROCESSOR.prepare(clip).features for clip in clips[start : start + BATCH]])
        with torch.inference_mode():
            expected = native(*(torch.from_numpy(array) for array in batch.values())).numpy()
        rows = [calibration.probabilities(logits[:, :-1]) for logits in (expected, compiled.infer(batch))]
        largest = max(largest, float(np.abs(rows[0] - rows[1]).max()))
    return largest
