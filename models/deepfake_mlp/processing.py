"""Pre-processing of the feature network: 47 acoustic features, which also travel back for the explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.features import extract, named
from dsp.framing import fit_duration
from models.deepfake_mlp import SPEC
from models.processing import Features, Prepared, check_audio, stack
from models.spec import AudioInput


class FeatureProcessor:
    """Audio to the 47 features."""

    def prepare(self, item: NDArray[Any]) -> Prepared:
        """Measures a clip, cut to 30 s or padded to 1 s.

        Args:
            item: float32 [samples] at 16 kHz, in [-1, 1].

        Returns:
            The features, float32 [47], and the same by name.

        Raises:
            InvalidItem: Not one channel of finite audio.
        """
        assert isinstance(SPEC.input, AudioInput)  # noqa: S101 - for the type checker
        samples = np.clip(check_audio(item), -1.0, 1.0)
        features = extract(fit_duration(samples, SPEC.input.min_s, SPEC.input.window_s))
        return Prepared(features, named(features))

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        """Stacks the features of several clips, float32 [clips, 47]."""
        return stack(batch)


PROCESSOR = FeatureProcessor()
