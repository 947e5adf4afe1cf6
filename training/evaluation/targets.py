"""What the models are meant to reach, and whether they do so on the validation parts; cards say so of other figures."""

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
        Target("accuracy", ("accuracy",), 0.975),
        Target("accuracy", ("accuracy",), 0.99, beyond=True),
    ),
    "face_gender": (
        Target("accuracy, ages 20 to 69", ("groups", "ages", "20 to 69", "accuracy"), 0.955),
        Target("accuracy, all ages", ("accuracy",), 0.945),
        Target("accuracy, all ages", ("accuracy",), 0.96, beyond=True),
        Target("gap between ethnicities", ("ethnicity_gap", "accuracy"), 0.02, beyond=True, most=True),
    ),
    "heart_sound": (
        Target("macro recall", ("macro_recall",), 0.72),
        Target("accuracy", ("accuracy",), 0.78),
        Target("macro recall", ("macro_recall",), 0.78, beyond=True),
        Target("accuracy", ("accuracy",), 0.85, beyond=True),
    ),
    "audio_scene": (
        Target("accuracy", ("accuracy",), 0.975),
        Target("accuracy", ("accuracy",), 0.985, beyond=True),
    ),
    ENSEMBLE: (
        Target("ROC-AUC", ("roc_auc",), 0.94),
        Target("equal error rate", ("eer",), 0.13, most=True),
        Target("ROC-AUC", ("roc_auc",), 0.96, beyond=True),
        Target("equal error rate", ("eer",), 0.10, beyond=True, most=True),
    ),
}
