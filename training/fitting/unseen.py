"""Figures of a cross-validation, kept beside the weights that it made, as ``unseen_folds.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "unseen_folds.json"
DIGITS = 4


def save(weights: Path, figures: Mapping[str, float]) -> None:
    """Writes figures of clips that the networks which answered had not seen, into a weights folder."""
    rounded = {name: round(float(value), DIGITS) for name, value in figures.items()}
    (weights / FILE_NAME).write_text(json.dumps(rounded, indent=1) + "\n")


def load(weights: Path) -> dict[str, float] | None:
    """Reads those of a weights folder; None where it has none."""
    path = weights / FILE_NAME
    return dict(json.loads(path.read_text())) if path.exists() else None
