"""How the acoustic features are distributed in human training speech, as the feature network's training measured it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models import registry

FILE_NAME = "human_speech.json"  # written by the training of the feature network


@dataclass(frozen=True, slots=True)
class Distribution:
    """One feature over human training speech.

    Attributes:
        mean: Mean.
        std: Standard deviation.
        percents: Percentages of the quantiles, ascending.
        quantiles: Values at them, ascending.
        evidence: Natural logarithm of how much more often AI-generated than human training speech lies below the
            first quantile, between each two, and above the last.
    """

    mean: float
    std: float
    percents: tuple[float, ...]
    quantiles: tuple[float, ...]
    evidence: tuple[float, ...]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Distribution:
        """Reads one entry of the file."""
        percents = tuple(float(p) for p in data["quantiles"])
        quantiles = tuple(float(q) for q in data["quantiles"].values())
        return cls(float(data["mean"]), float(data["std"]), percents, quantiles, tuple(map(float, data["evidence"])))

    def percentile(self, value: float) -> float:
        """Per cent of human speech below a value: 0 or 100 outside the outer quantiles, else between its neighbours."""
        if value < self.quantiles[0]:
            return 0.0
        if value > self.quantiles[-1]:
            return 100.0
        upper = min(self._place(value), len(self.quantiles) - 1)
        low, high = self.quantiles[upper - 1 : upper + 1]
        share = (value - low) / (high - low) if high > low else 0.5
        return self.percents[upper - 1] + share * (self.percents[upper] - self.percents[upper - 1])

    def weigh(self, value: float) -> float:
        """Evidence for AI-generated speech at a value (nats); negative speaks for a human."""
        return self.evidence[self._place(value)]

    def _place(self, value: float) -> int:
        """How many quantiles are below or at a value."""
        return sum(quantile <= value for quantile in self.quantiles)


Reference = Mapping[str, Distribution]


def read_reference(path: Path) -> Reference:
    """Distributions of human speech, by feature name."""
    data = json.loads(path.read_text())
    return {name: Distribution.parse(entry) for name, entry in data["features"].items()}


@lru_cache(maxsize=1)
def bundled_reference() -> Reference:
    """The distributions that came with the bundled feature network."""
    return read_reference(registry.weights("deepfake_mlp") / FILE_NAME)
