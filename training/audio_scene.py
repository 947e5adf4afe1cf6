"""Speech, music, noise or silence: ``python -m training.audio_scene`` writes the weights (DATASETS_DIR).

Kernel ridge regression on the encoder's statistics over the whole clip and on how loud it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.audio_scene import SPEC
from models.encoder import FEATURES
from training.data.datasets import Clip, balanced_weights
from training.evaluation.folds import Split, by_group, leave_out
from training.fitting import features, heads, recipes, sound

SETS = ("audio_scenes", "audio_scenes_more")
AXES = 256  # principal axes of the statistics that distances are measured along
WIDTH, PENALTY = 1.4, 0.3  # see ``heads.ridge``
LEVEL_WEIGHT = 6.0  # how much further apart levels move two clips: six numbers stand beside two thousand
SOURCES = ("LibriSpeech", "ESC-10", "RAVDESS", "Common Voice", "librosa", "beatgame", "OpenClonk", "Unknown Horizons")


def source(clip: Clip) -> str:
    """Where a clip is from; the parts of a source are one."""
    name = clip.fields["source"]
    return next((whole for whole in SOURCES if name.startswith(whole)), name.split(" (")[0])


class AudioScene(recipes.Encoded):
    """The recipe."""

    spec = SPEC
    pooling = features.WHOLE
    clear_only = True  # .934 in place of .936 before calibration, with sources left out
    forms = (0, 1)  # noise behind music, or another room, is another scene as often as not

    def listed(self, data: Path) -> list[Clip]:
        """Both sets."""
        return sound.clips(data, *SETS)

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """By speaker, author or track, and each source left out."""
        groups = [clip.group for clip in clips]
        sources = leave_out([source(clip) for clip in clips], groups)
        return self.with_and_without("sources left out", sources, clips) | {
            "groups left out": self.as_fitted(by_group([clip.label for clip in clips], groups), clips),
        }

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """By source."""
        return {"source": [source(clip) for clip in clips]}

    def head(self, rows: heads.Rows, labels: NDArray[np.int64], clips: Sequence[Clip]) -> heads.KernelHead:
        """Fits one head; classes count alike."""
        weights = balanced_weights([clip.label for clip in clips]) * len(clips)
        return heads.ridge(
            rows, labels, weights, axes=AXES, width=WIDTH, penalty=PENALTY, favoured=FEATURES, favour=LEVEL_WEIGHT
        )


RECIPE = AudioScene()

if __name__ == "__main__":
    recipes.main(RECIPE, __doc__)
