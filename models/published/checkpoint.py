"""What a store entry says of the published checkpoint in it: where it is from, and how it is fed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from models.processing import Processor
from models.published.processing import AstProcessor, GatedSceneProcessor, WaveformProcessor
from models.spec import AudioInput, ImageInput, ModelSpec


class CheckpointError(RuntimeError):
    """A checkpoint that cannot take the place of a bundled model; the message is for the person who asked for it."""


FILE_NAME = "checkpoint.json"
FRAME_S = 0.01  # between frames of a log-mel picture
# How the values of a picture (0 to 255, red first) become what a network was trained on. The last is what
# ``keras.applications.vgg16`` does: blue first, and ImageNet's mean colour taken off.
PIXELS = ("0..255", "0..1", "-1..1", "imagenet-bgr")


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Waveform(_Input):
    """Samples in clips of one length; see ``WaveformProcessor``."""

    kind: Literal["waveform"] = "waveform"
    sample_rate: int = Field(gt=0)
    samples: int = Field(gt=0)
    fill: Literal["zeros", "repeat"]
    normalise: bool

    @property
    def input(self) -> AudioInput:
        """Windows of the clips' length; a shorter one costs as much."""
        seconds = self.samples / self.sample_rate
        return AudioInput(self.sample_rate, window_s=seconds, min_s=seconds)

    def processor(self) -> Processor:
        """The pre-processing."""
        return WaveformProcessor(self.samples, self.fill, self.normalise)


class LogMel(_Input):
    """Log-mel pictures of an Audio Spectrogram Transformer; see ``AstProcessor``."""

    kind: Literal["log_mel"] = "log_mel"
    sample_rate: int = Field(gt=0)
    mel_bins: int = Field(gt=0)
    max_length: int = Field(gt=0)
    mean: float
    std: float = Field(gt=0)

    @property
    def input(self) -> AudioInput:
        """Windows of the picture's length; a shorter one costs as much."""
        seconds = self.max_length * FRAME_S
        return AudioInput(self.sample_rate, window_s=seconds, min_s=seconds)

    def processor(self) -> Processor:
        """The pre-processing."""
        return GatedSceneProcessor(AstProcessor(self.mel_bins, self.max_length, self.mean, self.std, repeat=False))


class Picture(_Input):
    """Square pictures; the scaling of values is inside the network as it is served."""

    kind: Literal["picture"] = "picture"
    size: int = Field(gt=0)

    @property
    def input(self) -> ImageInput:
        """The picture's side."""
        return ImageInput(self.size)

    def processor(self) -> Processor:
        """The pre-processing."""
        from models.face_gender.processing import FaceProcessor  # it loads OpenCV, which the other runners do without

        return FaceProcessor(self.size)


class Checkpoint(_Input):
    """One imported checkpoint.

    Attributes:
        origin: Hub id, or name of the folder or file it was imported from.
        revision: Commit at the hub; empty for a folder or file.
        licence: As its publisher names it, or ``unknown``.
        architecture: In a few words.
        library: What the native network is made with.
        fed: The network's input.
        labels: The publisher's label names, in the order of the network's outputs, each with the class it counts for.
        outputs: ``logits`` of labels that exclude each other, logits of ``independent`` labels, or ``probabilities``.
        pixels: One of ``PIXELS``; empty where the input is not a picture.
    """

    origin: str
    revision: str
    licence: str
    architecture: str
    library: str
    fed: Annotated[Waveform | LogMel | Picture, Field(discriminator="kind")]
    labels: tuple[tuple[str, str], ...]
    outputs: Literal["logits", "independent", "probabilities"]
    pixels: str = ""

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Reads the file of a store entry; ``None`` for a bundled model, which has none.

        Raises:
            ValueError: The file is not one of these.
        """
        path = folder / FILE_NAME
        return cls.model_validate_json(path.read_text()) if path.exists() else None

    def save(self, folder: Path) -> None:
        """Writes the file of a store entry."""
        (folder / FILE_NAME).write_text(self.model_dump_json(indent=1) + "\n")

    def processor(self) -> Processor:
        """The pre-processing."""
        return self.fed.processor()

    def describe(self, spec: ModelSpec) -> ModelSpec:
        """The model as it is with this checkpoint in the place of the compact one."""
        return dataclasses.replace(
            spec,
            input=self.fed.input,
            architecture=self.architecture,
            library=self.library,
            reference=self.origin,
            measures=(),
        )

    def groups(self, classes: tuple[str, ...]) -> list[list[int]]:
        """For each class the outputs that count for it."""
        return [[place for place, (_, name) in enumerate(self.labels) if name == cls] for cls in classes]
