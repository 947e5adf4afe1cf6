"""Pre-processing of published checkpoints, by the numbers of their own configuration; NumPy only.

An Audio Spectrogram Transformer reads a normalised log-mel picture. Rules about level come first, which need no
network. A clip without one passage above the gate is digital silence, and a faint clip in which something happens is
turned up, because nothing happens in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dsp import kaldi
from models.audio_scene import SPEC as SCENES
from models.processing import Features, Prepared, check_audio, stack

# RMS of the loudest 50 ms, relative to full scale. At 16 bits, 3 steps: speech of which the loudest syllable is
# below that cannot be understood. One-bit dither has -90 dBFS, quiet rooms in the training data -80 to -50 dBFS.
GATE_DBFS = -80.0
FRAME = 800  # samples: 50 ms at 16 kHz
# The loudest 50 ms above the level that a fifth of the clip stays below (dB). Measured on training windows: true
# silence, breaths included, is below 12 in 99 of 100; speech is above in 95 of 100, at any level.
EVENT_DB = 13.0
FAINT_DBFS = -30.0  # only windows below this are turned up; the training clips' own levels begin here
RAISED_DBFS = -20.0  # to this level of the loudest 50 ms


def frame_levels(samples: Features) -> NDArray[np.float64]:
    """RMS level of each 50 ms of a clip.

    Args:
        samples: float32 [samples], at least one, 16 kHz, in [-1, 1].

    Returns:
        float64 [frames], dBFS (a full-scale sine has -3); at least -200.
    """
    whole = len(samples) // FRAME * FRAME
    frames = samples[:whole].reshape(-1, FRAME) if whole else samples[None]
    centred = frames - frames.mean(axis=1, keepdims=True)  # an offset is inaudible
    power = np.square(centred, dtype=np.float64).mean(axis=1)
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-20)), np.float64)


def loudest_dbfs(samples: Features) -> float:
    """RMS level of the loudest 50 ms of a clip (dBFS)."""
    return float(frame_levels(samples).max())


def level(samples: Features) -> Features:
    """Zeros in place of a clip below the gate, and a faint clip with events in it turned up; others as they are."""
    levels = frame_levels(samples)
    loudest = float(levels.max())
    if loudest < GATE_DBFS:
        return np.zeros_like(samples)
    if loudest < FAINT_DBFS and loudest - float(np.percentile(levels, 20)) > EVENT_DB:
        return np.asarray(samples * np.float32(10 ** ((RAISED_DBFS - loudest) / 20)), np.float32)
    return samples


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
        """Computes the picture of one clip.

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


VARIANCE_FLOOR = 1e-7  # as in transformers: keeps silence silent
SILENCE = tuple(float(name == "silence") for name in SCENES.classes)


@dataclass(frozen=True, slots=True)
class WaveformProcessor:
    """Clips of one length, as the published wav2vec2 classifiers were trained on.

    With one length there is nothing to mask, so checkpoints whose first layer is normalised over time (group norm)
    answer alike whatever their batch-mates are.

    Attributes:
        samples: Length of every clip.
        fill: What follows a shorter clip: zeros, or the clip again and again.
        normalise: Whether the clip, what fills it included, is brought to zero mean and unit variance.
    """

    samples: int
    fill: Literal["zeros", "repeat"]
    normalise: bool

    def prepare(self, item: NDArray[Any]) -> Prepared:
        """Brings a clip to the network's length.

        Args:
            item: float [samples]; what is beyond the length is not looked at.

        Returns:
            Features float32 [samples].

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        clip = check_audio(item)[: self.samples]
        repeated = self.fill == "repeat"
        clip = np.resize(clip, self.samples) if repeated else np.pad(clip, (0, self.samples - clip.size))
        return Prepared(normalise(clip) if self.normalise else clip)

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        """``input_values``, float32 [batch, samples]."""
        return stack(batch)


@dataclass(frozen=True, slots=True)
class GatedSceneProcessor:
    """The picture of a published Audio Spectrogram Transformer, behind the energy gate for silence.

    Attributes:
        ast: Its feature extractor.
    """

    ast: AstProcessor

    def prepare(self, item: NDArray[Any]) -> Prepared:
        """Computes the picture of one window; below the gate the answer is silence, and no network is asked.

        Args:
            item: float32 [samples], 16 kHz, in [-1, 1].

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        prepared = self.ast.prepare(item)
        below = prepared.extras["loudest_dbfs"] < GATE_DBFS
        return replace(prepared, verdict=SILENCE) if below else prepared

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        """``input_values``, float32 [batch, frames, mel bins]."""
        return self.ast.collate(batch)


def normalise(samples: Features) -> Features:
    """A clip with zero mean and unit variance, float32 [samples]."""
    centred = samples - samples.mean()  # in single precision throughout: NumPy adds in pairs, which keeps the digits
    return np.asarray(centred / np.sqrt(np.mean(np.square(centred)) + np.float32(VARIANCE_FLOOR)), np.float32)
