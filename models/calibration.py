"""From logits to calibrated probabilities.

Vector scaling restricted to one temperature and a bias for each class (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017; with two classes it is Platt's scaling). The values are fitted on what networks say of clips that
they have not met (``training.fitting.calibrate``); those of hearts are constants that such answers chose. They are kept
beside the weights as ``calibration.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE_NAME = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """``softmax(logits / temperature + bias)``.

    Attributes:
        temperature: Above 1 softens, below 1 sharpens. Positive.
        bias: One number for each class.
    """

    temperature: float
    bias: tuple[float, ...]

    @classmethod
    def identity(cls, classes: int) -> Calibration:
        """The calibration that changes nothing."""
        return cls(1.0, (0.0,) * classes)

    @classmethod
    def load(cls, weights: Path) -> Calibration:
        """Reads the file of a weights folder.

        Raises:
            ValueError: The temperature is not positive or a value is not finite.
        """
        data = json.loads((weights / FILE_NAME).read_text())
        calibration = cls(float(data["temperature"]), tuple(float(b) for b in data["bias"]))
        if not np.isfinite((calibration.temperature, *calibration.bias)).all() or calibration.temperature <= 0:
            raise ValueError(f"{weights / FILE_NAME}: temperature must be positive and all values finite")
        return calibration

    def save(self, weights: Path) -> None:
        """Writes the file of a weights folder."""
        (weights / FILE_NAME).write_text(json.dumps(asdict(self), indent=1) + "\n")

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities.

        Args:
            logits: float32 [batch, classes].

        Returns:
            float32 [batch, classes], each row summing to 1.
        """
        scaled = logits.astype(np.float64) / self.temperature + np.asarray(self.bias)
        scaled -= scaled.max(axis=1, keepdims=True)
        exponentials = np.exp(scaled)
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float32)

    def undone(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the probabilities would be without calibration: the softmax of the logits.

        Args:
            probabilities: float64 [batch, classes], calibrated; logits are known from them but for a constant.

        Returns:
            float64 [batch, classes], each row summing to 1.
        """
        logits = self.temperature * (np.log(np.maximum(probabilities, 1e-45)) - np.asarray(self.bias))
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float64)
