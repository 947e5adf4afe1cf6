"""What each copy of a training clip is to teach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Lesson:
    """Targets, and what a teacher makes of each copy, where there is one.

    Attributes:
        targets: float32 [clips, copies, classes], each row a distribution.
        embeddings: float32 [clips, copies, dimensions], zero mean and unit variance.
    """

    targets: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None = None


def of_labels(labels: NDArray[np.int64], copies: int, classes: int) -> Lesson:
    """The labels alone, for training without a teacher: the same for every copy."""
    targets = np.eye(classes, dtype=np.float32)[labels]
    return Lesson(np.broadcast_to(targets[:, None], (len(labels), copies, classes)))
