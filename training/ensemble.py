"""Human or AI-generated speech, the three members together: ``python -m training.protocol ensemble`` measures them.

Nothing is trained but what the members' own recipes train. Their answers are weighed as they are while serving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.settings import VOTING
from tasks.voice_deepfake import ARTIFICIAL, decide
from training import deepfake_cnn, deepfake_mlp, voice_deepfake
from training.data.datasets import Clip
from training.evaluation.folds import Split
from training.fitting import members
from training.protocol import Predict, Rows

RECIPES = (voice_deepfake.RECIPE, deepfake_cnn.RECIPE, deepfake_mlp.RECIPE)  # in the order of the weights
PROFILE = "compact"


class Ensemble:
    """The recipe."""

    classes = members.CLASSES

    def clips(self, data: Path) -> list[Clip]:
        """Those of the members, which have the same."""
        first, *_ = [recipe.clips(data) for recipe in RECIPES]
        return first

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """By page, synthesiser and speaker, as the encoder's member is judged."""
        title, splits = next(iter(voice_deepfake.RECIPE.schemes(clips).items()))
        return {title: splits}

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """By language and by class within it."""
        return voice_deepfake.RECIPE.groupings(clips)

    def fit(self, clips: Sequence[Clip]) -> Predict:
        """Fits each member on the same clips."""
        predict = [recipe.fit(clips) for recipe in RECIPES]

        def weighed(others: Sequence[Clip]) -> Rows:
            return verdicts(np.stack([one(others)[:, members.AI] for one in predict], axis=1))

        return weighed


def verdicts(scores: Rows) -> Rows:
    """The confidence in each class, which is above one half for the class that the threshold decides for.

    Args:
        scores: Each member's probability of ``ARTIFICIAL``, float64 [clips, members].

    Returns:
        float64 [clips, classes].
    """
    found = [decide(row, VOTING[PROFILE]) for row in scores.tolist()]
    artificial = np.array(
        [verdict.confidence if verdict.classification == ARTIFICIAL else 1.0 - verdict.confidence for verdict in found]
    )
    return np.stack([1.0 - artificial, artificial], axis=1)


RECIPE = Ensemble()
