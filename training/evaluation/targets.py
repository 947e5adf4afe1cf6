"""What the models are meant to reach on the validation parts, and whether they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.groups import ENSEMBLE


@dataclass(frozen=True, slots=True)
class Target:
    """One figure that a model is meant to reach.

    Attributes:
        title: In words.
        place: The keys that lead to the figure in ``training/evaluation.json``.
        value: To reach.
        beyond: Whether it is the further of two targets.
        most: Whether the figure is to stay below the value rather than above it.
    """

    title: str
    place: tuple[str, ...]
    value: float
    beyond: bool = False
    most: bool = False

    def reached(self, found: Mapping[str, Any]) -> tuple[float, bool]:
        """The figure of a model, and whether it is as good as the target."""
        part: Any = found
        for key in self.place:
            part = part[key]
        figure = float(part)
        return figure, figure <= self.value if self.most else figure >= self.value


TARGETS: Mapping[str, Sequence[Target]] = {
    "voice_gender": (
        Target("accuracy", ("accuracy",), 0.96),
        Target("accuracy", ("accuracy",), 0.99, beyond=True),
    ),
    "face_gender": (
        Target("accuracy, ages 20 to 69", ("groups", "ages", "20 to 69", "accuracy"), 0.95),
        Target("accuracy, all ages", ("accuracy",), 0.93),
        Target("gap between ethnicities", ("ethnicity_gap", "accuracy"), 0.02, beyond=True, most=True),
    ),
    "heart_sound": (
        Target("macro recall", ("macro_recall",), 0.72),
        Target("accuracy", ("accuracy",), 0.78),
        Target("macro recall", ("macro_recall",), 0.78, beyond=True),
        Target("accuracy", ("accuracy",), 0.85, beyond=True),
    ),
    "audio_scene": (
        Target("accuracy", ("accuracy",), 0.95),
        Target("accuracy", ("accuracy",), 0.98, beyond=True),
    ),
    ENSEMBLE: (
        Target("ROC-AUC", ("roc_auc",), 0.85),
        Target("equal error rate, unseen systems", ("unseen_systems", "eer"), 0.12, beyond=True, most=True),
    ),
}
