"""How good a wav2vec2 classifier is on clips that it does not learn from, while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.calibration import Calibration
from models.processing import Processor
from models.training import loop, metrics
from models.training.augment import Audio

Collated = Sequence[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]


def collated(clips: Sequence[Audio], processor: Processor, size: int = 16) -> Collated:
    """Clips in batches of similar length, unchanged.

    Returns:
        For each batch the places of its clips, int64 [batch], and the network's inputs.
    """
    order = np.argsort([clip.size for clip in clips], kind="stable").astype(np.int64)
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    return [(part, processor.collate([processor.prepare(clips[i]).features for i in part])) for part in parts]


def logits(model: torch.nn.Module, val: Collated) -> NDArray[np.float32]:
    """Logits float32 [clips, classes] in the order of the clips before they were collated."""
    device = next(model.parameters()).device
    size = sum(len(places) for places, _ in val)
    result = np.zeros((size, 0), np.float32)
    for places, arrays in val:
        inputs = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        with torch.inference_mode():
            answer = loop.logits_of(model, inputs).cpu().numpy()
        result = result if result.shape[1] else np.zeros((size, answer.shape[1]), np.float32)
        result[places] = answer
    return result


def validate(model: torch.nn.Module, val: Collated, labels: NDArray[np.int64]) -> dict[str, float]:
    """Figures before calibration, for the progress bar and the history."""
    answers = logits(model, val)
    probabilities = Calibration.identity(answers.shape[1]).probabilities(answers)
    figures = metrics.summary(labels, probabilities)
    return {name: figures[name] for name in ("accuracy", "roc_auc", "eer", "ece")}
