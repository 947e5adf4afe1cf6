"""Female or male voice: ``python -m training.voice_gender`` writes the weights (DATASETS_DIR).

A logistic regression on the encoder's statistics over speech. What was chosen, and by which figures, is in the card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.voice_gender import SPEC
from training.data.datasets import Clip, balanced_weights
from training.evaluation.folds import Split, by_group, leave_out
from training.fitting import features, heads, recipes, sound

SETS = ("voice_gender", "voice_gender_more")
STRENGTH = 0.01  # inverse of the penalty


def source(clip: Clip) -> str:
    """The corpus of a clip; the two parts of LibriSpeech are one."""
    name = clip.fields["source"]
    return "LibriSpeech" if name.startswith("LibriSpeech") else name.removesuffix(" (2 s excerpts)")


class VoiceGender(recipes.Encoded):
    """The recipe."""

    spec = SPEC
    pooling = features.SPEECH
    clear_only = True  # .984 in place of .988 with sources left out, and weights that may be used commercially

    def listed(self, data: Path) -> list[Clip]:
        """Both sets."""
        return sound.clips(data, *SETS)

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """By speaker, and each corpus left out."""
        people = [clip.group for clip in clips]
        sources = leave_out([source(clip) for clip in clips], people)
        return self.with_and_without("sources left out", sources, clips) | {
            "speakers left out": self.as_fitted(by_group([clip.label for clip in clips], people), clips),
        }

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """By corpus."""
        return {"source": [source(clip) for clip in clips]}

    def head(self, rows: heads.Rows, labels: NDArray[np.int64], clips: Sequence[Clip]) -> heads.Head:
        """Fits one head; women and men count alike."""
        weights = balanced_weights([clip.label for clip in clips]) * len(clips)
        return heads.logistic(rows, labels, weights, STRENGTH)


RECIPE = VoiceGender()

if __name__ == "__main__":
    recipes.main(RECIPE, __doc__)
