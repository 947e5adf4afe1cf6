"""How the 47 acoustic features are distributed in human training speech, and where AI-generated speech differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.features import FEATURE_NAMES

FILE_NAME = "human_speech.json"
PERCENTS = (1, 5, 25, 50, 75, 95, 99)
EVIDENCE_PRIOR = 10.0  # clips: so many are added to each class as if both were alike, against chance in thin tails


def write(human: NDArray[np.float32], generated: NDArray[np.float32], weights: Path) -> None:
    """Writes the description beside the weights.

    Args:
        human: float32 [clips, 47], the features of human speech.
        generated: float32 [clips, 47], those of AI-generated speech.
        weights: Folder.
    """
    (weights / FILE_NAME).write_text(json.dumps(describe(human, generated), indent=1) + "\n")


def describe(human: NDArray[np.float32], generated: NDArray[np.float32]) -> dict[str, Any]:
    """What ``tasks.explanation`` reads.

    Returns:
        For each feature its mean, standard deviation and quantiles by percentage over human speech, and the log ratio
        of AI-generated to human frequency below, between and above the quantiles.
    """
    columns = zip(FEATURE_NAMES, human.T.astype(np.float64), generated.T.astype(np.float64), strict=True)
    features = {name: _describe(ours, theirs) for name, ours, theirs in columns}
    return {"human_clips": len(human), "ai_generated_clips": len(generated), "features": features}


def _describe(human: NDArray[np.float64], generated: NDArray[np.float64]) -> dict[str, Any]:
    """One feature."""
    quantiles = np.quantile(human, np.array(PERCENTS) / 100)
    counts = [np.bincount(np.searchsorted(quantiles, side, "right"), minlength=8) for side in (human, generated)]
    usual = counts[0] / len(human)
    shares = [(count + EVIDENCE_PRIOR * usual + 0.01) / (count.sum() + EVIDENCE_PRIOR) for count in counts]
    padded = np.pad(np.log(shares[1] / shares[0]), 1, mode="edge")
    evidence = padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4  # neighbours agree: single bins are few clips
    return {
        "mean": _rounded(human.mean()),
        "std": _rounded(human.std()),
        "quantiles": {str(p): _rounded(q) for p, q in zip(PERCENTS, quantiles, strict=True)},
        "evidence": [round(float(e), 3) for e in evidence],
    }


def _rounded(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")
