"""From a clip to the normalised log-mel picture that an Audio Spectrogram Transformer reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import kaldi
from models.audio_scene.silence import level, loudest_dbfs
from models.processing import Features, Prepared, check_audio, stack


@dataclass(frozen=True, slots=True)
class AstProcessor:
    """The feature extractor of one checkpoint, with the numbers of its ``preprocessor_config.json``.

    Attributes:
        mel_bins: ``num_mel_bins``.
        max_length: Frames of the picture.
        mean: Of the log-mel values the network was trained on.
        std: Their standard deviation; the picture is ``(x - mean) / (2 std)``, as in the published extractor.
        repeat: Whether a shorter clip is repeated until the picture is full. Otherwise the rest holds log energies of
            0, which is what the published extractor does.
    """

    mel_bins: int
    max_length: int
    mean: float
    std: float
    repeat: bool

    def prepare(self, item: NDArray[np.float32]) -> Prepared:
        """Computes the picture of one clip, after the rules of ``models.audio_scene.silence`` about its level.

        Args:
            item: float32 [samples], 16 kHz, in [-1, 1]; what is beyond ``max_length`` frames is not looked at.

        Returns:
            Features float32 [max_length, mel_bins]; extra ``loudest_dbfs``, the RMS level of the loudest 50 ms.

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        samples = check_audio(item)
        return Prepared(self.picture(level(samples)), {"loudest_dbfs": loudest_dbfs(samples)})

    def picture(self, samples: Features) -> Features:
        """The normalised log-mel picture, float32 [max_length, mel_bins], of float32 [samples]."""
        return self.normalise(self.log_mel(samples))

    def log_mel(self, samples: Features) -> Features:
        """Log-mel energies, float32 [max_length, mel_bins], before normalisation."""
        features = kaldi.log_mel(self.fill(samples), self.mel_bins)
        return np.pad(features, ((0, self.max_length - len(features)), (0, 0)))

    def fill(self, samples: Features) -> Features:
        """The samples that the picture shows: the first of a longer clip; a shorter one as often as ``repeat`` says."""
        needed = kaldi.samples_for(self.max_length)
        if self.repeat and len(samples) < needed:
            return np.resize(samples, needed)
        return np.ascontiguousarray(samples[:needed])

    def normalise(self, log_mel: Features) -> Features:
        """Centres and scales log-mel energies of any shape."""
        return ((log_mel - np.float32(self.mean)) / np.float32(2 * self.std)).astype(np.float32, copy=False)

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """``input_values``, float32 [batch, max_length, mel_bins]."""
        return stack(batch)


# Mean and deviation over the training clips, each at the level it has in the data set (measured by train.py).
PROCESSOR = AstProcessor(mel_bins=64, max_length=256, mean=-6.854, std=4.507, repeat=True)
