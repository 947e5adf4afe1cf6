"""Speech, music, noise or silence: ``python -m training.audio_scene`` writes the weights (DATASETS_DIR).

Kernel ridge regression on the encoder's statistics over the whole clip and on how loud it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.audio_scene import SPEC
from models.calibration import Calibration
from models.encoder import FEATURES
from training.data.datasets import Clip, class_indices
from training.evaluation.folds import Split, by_group, leave_many_out, leave_out
from training.fitting import calibrate, features, heads, recipes, sound

SETS = ("audio_scenes", "audio_scenes_more", "audio_scenes_further")
AXES = 256  # principal axes of the statistics that distances are measured along
WIDTH, PENALTY = 1.4, 0.1  # see ``heads.ridge``
# How much further apart levels move two clips: six numbers stand beside two thousand. With 6, faint speech is silence.
LEVEL_WEIGHT = 3.0
EVEN = 0.5  # a source counts by this power of its clips
FOLDS = 8  # so many times an eighth of the sources is left out
SOURCES = ("LibriSpeech", "ESC-10", "RAVDESS", "Common Voice", "librosa", "beatgame", "OpenClonk", "Unknown Horizons")


def source(clip: Clip) -> str:
    """Where a clip is from; the parts of a source are one."""
    name = clip.fields["source"]
    return next((whole for whole in SOURCES if name.startswith(whole)), name.split(" (")[0])


class AudioScene(recipes.Encoded):
    """The recipe."""

    spec = SPEC
    pooling = features.WHOLE
    clear_only = True
    forms = (recipes.PLAIN,)  # the sets' clips come through many codecs already

    def listed(self, data: Path) -> list[Clip]:
        """All sets; the further one only where it has been fetched (``training.data.further_scenes``)."""
        return sound.clips(data, *SETS)

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """By source, an eighth of them at a time, and by speaker, author or track."""
        groups = [clip.group for clip in clips]
        sources = leave_many_out([source(clip) for clip in clips], groups, folds=FOLDS)
        return self.with_and_without("sources left out", sources, clips) | {
            "groups left out": self.as_fitted(by_group([clip.label for clip in clips], groups), clips),
        }

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """By source."""
        return {"source": [source(clip) for clip in clips]}

    def folds(self, clips: Sequence[Clip]) -> Sequence[Split]:
        """Each source by itself, as the model will be judged."""
        return leave_out([source(clip) for clip in clips])

    def head(self, rows: heads.Rows, labels: NDArray[np.int64], clips: Sequence[Clip]) -> heads.KernelHead:
        """Fits one head."""
        return heads.ridge(
            rows,
            labels,
            weights(labels, clips),
            axes=AXES,
            width=WIDTH,
            penalty=PENALTY,
            favoured=FEATURES,
            favour=LEVEL_WEIGHT,
        )

    def fit_calibrated(self, clips: Sequence[Clip]) -> tuple[heads.KernelHead, Calibration]:
        """A head, and the calibration fitted on the logits of clips whose source it leaves out."""
        labels = class_indices(clips, self.classes)
        parts = [split.test for split in self.folds(clips)]
        head = self.head(self.rows(clips), labels, clips)
        logits = heads.held_out(head, labels, weights(labels, clips), PENALTY, parts)
        report = calibrate.fit(logits.astype(np.float32), labels, self.calibration_weights(clips))
        return head, report.calibration


def weights(labels: NDArray[np.int64], clips: Sequence[Clip]) -> NDArray[np.float64]:
    """How much each clip counts, float64 [clips]: classes alike, large sources less than their clips."""
    keys = [(clip.label, source(clip)) for clip in clips]
    sizes = Counter(keys)
    found = np.array([sizes[key] ** (EVEN - 1.0) for key in keys])
    for label in np.unique(labels):
        found[labels == label] /= found[labels == label].mean()
    return found


RECIPE = AudioScene()

if __name__ == "__main__":
    recipes.main(RECIPE, __doc__)
