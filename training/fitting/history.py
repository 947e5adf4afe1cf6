"""The course of a training, kept beside the weights that it made, as ``history.json``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FILE_NAME = "history.json"
Settings = dict[str, bool | int | float | str]


@dataclass(frozen=True, slots=True)
class History:
    """What was asked for, and how every network of the model came along.

    Attributes:
        settings: The options of the command that are no paths.
        runs: By the name of a network (a member of an ensemble), one entry for each epoch: ``epoch``,
            ``loss``, and the figures that the trainer took.
    """

    settings: Settings
    runs: dict[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, options: argparse.Namespace) -> History:
        """An empty history of a training with the options of its command line."""
        known = (bool, int, float, str)
        return cls({name: value for name, value in vars(options).items() if isinstance(value, known)})

    @classmethod
    def load(cls, weights: Path) -> History | None:
        """Reads that of a weights folder; None where it has none."""
        path = weights / FILE_NAME
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def save(self, weights: Path) -> None:
        """Writes it into a weights folder, figures to six digits."""
        weights.mkdir(parents=True, exist_ok=True)
        runs = {
            name: [{key: float(f"{value:.6g}") for key, value in entry.items()} for entry in entries]
            for name, entries in self.runs.items()
        }
        (weights / FILE_NAME).write_text(json.dumps({"settings": self.settings, "runs": runs}, indent=1) + "\n")
