"""What the notebooks of the models on the shared encoder look at: its frames, its statistics, a head on a few clips."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.encoder.network import Encoder
from models.encoder.processing import PROCESSOR
from training.data.datasets import Clip, Split
from training.fitting import features, heads, recipes, sound


@cache
def encoder() -> Encoder:
    """The shared encoder in torch."""
    return Encoder.load()


@torch.inference_mode()
def presence(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability that each frame is speech, float32 [frames of 20 ms], of a clip float32 [samples] at 16 kHz."""
    batch = PROCESSOR.collate([PROCESSOR.prepare(audio).features])
    pictures, lengths = (torch.from_numpy(batch[name]) for name in ("pictures", "lengths"))
    _, weights = encoder().presence(encoder().states(pictures, lengths), lengths)
    return np.asarray(weights[0, : int(lengths[0])].numpy(), np.float32)


def few(recipe: recipes.Encoded, data: Path, split: Split) -> tuple[list[Clip], heads.Rows]:
    """The clips of a part, and what a head reads of each as it is, float32 [clips, FEATURES + LEVELS].

    Args:
        recipe: Of the model.
        data: Folder of data sets with a few clips.
        split: The part.
    """
    clips = [clip for clip in recipe.listed(data) if clip.fields["split"] == split]
    return clips, recipe.read(features.Bank.of(np.stack([_forms(clip, data) for clip in clips])))


def plane(rows: heads.Rows) -> NDArray[np.float64]:
    """Places of clips on the two axes along which their standardised statistics differ most, float64 [clips, 2]."""
    mean, spread = heads.standard(rows, np.ones(len(rows)))
    left, lengths, _ = np.linalg.svd((rows - mean) / spread, full_matrices=False)
    return np.asarray(left[:, :2] * lengths[:2], np.float64)


def _forms(clip: Clip, data: Path) -> Sequence[NDArray[np.float32]]:
    return [features.features(encoder(), sound.form(clip, sound.FORMS[recipes.PLAIN], data))]
