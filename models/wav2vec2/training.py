"""The training command of the wav2vec2 classifiers; a model's own ``train.py`` gives the data and the recipe."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import Wav2Vec2ForSequenceClassification

from models import registry
from models.processing import Processor
from models.spec import ModelSpec
from models.training import calibrate, command, embedding, loop
from models.training.augment import Audio, Transform
from models.training.history import History
from models.wav2vec2 import distillation, frames, headstart, network
from models.wav2vec2.details import Details
from models.wav2vec2.distillation import Teacher
from models.wav2vec2.embedded import EmbeddedCopies
from models.wav2vec2.filterbank import Band, initialise
from models.wav2vec2.lesson import Lesson, of_labels
from models.wav2vec2.validation import Collated, collated, logits, validate

Start = Callable[
    [Wav2Vec2ForSequenceClassification, Sequence[Sequence[frames.Frames]], NDArray[np.int64], NDArray[np.float64],
     Sequence[str]],
    None,
]  # fmt: skip

STEPS = 120  # batches in an epoch
LEVEL_CLIPS = 150  # training clips that the levels of the filter bank are measured on
CHECKED_BATCHES = 4  # of validation clips that the compiled form is compared on


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model's own training script decides.

    Attributes:
        bands: First-layer filters.
        kernel: First-layer kernel (samples).
        details: What the third layer reads off the bands.
        augment: Applied to every training piece.
        seconds: Shortest and longest training piece.
        size: Clips in a batch.
        learning_rate: Peak.
        copies: Augmented forms of each training clip.
        start: Sets the weights behind the filter bank.
        teacher: Whom to learn from, besides the labels.
        configuration: Fields of ``Wav2Vec2Config`` that differ from those of ``network.configuration``.
    """

    bands: Sequence[Band]
    kernel: int
    details: Details
    augment: Transform
    seconds: tuple[float, float]
    size: int = 24
    learning_rate: float = 1e-3
    copies: int = 3
    start: Start = headstart.start
    teacher: Teacher | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Data:
    """Clips in memory.

    Attributes:
        variants: Of each training clip, the forms to choose from; the first is the clip as it is.
        labels: Class of each training clip.
        weights: Chance of each training clip.
        val: Validation clips.
        val_labels: Their classes.
        groups: Kind of each training clip within its class, for the head start.
    """

    variants: Sequence[Sequence[Audio]]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    val: Sequence[Audio]
    val_labels: NDArray[np.int64]
    groups: Sequence[str]


def arguments(
    name: str, epochs: int, given: Sequence[str] | None = None, *, teacher: bool = False
) -> argparse.Namespace:
    """Reads the command line of ``python -m models.<name>.train``.

    Args:
        name: The model.
        epochs: As many as the bundled weights were trained for.
        given: The arguments; those of the process where none are given.
        teacher: Whether there is one, to do without.
    """
    made = command.parser(__doc__, name, registry.weights(name), epochs=epochs, steps=STEPS)
    if teacher:
        made.add_argument("--without-teacher", action="store_true", help="learn from the labels alone")
    return command.parse(made, given)


def train(spec: ModelSpec, processor: Processor, recipe: Recipe, data: Data, options: argparse.Namespace) -> None:
    """Trains, saves, calibrates, compiles."""
    torch.manual_seed(options.seed)
    device = loop.pick_device()
    model = build(spec, processor, recipe, [forms[0] for forms in data.variants])
    whole = copy.deepcopy(model)
    bank = frames.split(model)
    copies, lesson = _copies(bank, processor, recipe, data, options, len(spec.classes))
    recipe.start(model, copies, data.labels, data.weights, data.groups)
    epoch = frames.FrameBatches(
        copies, lesson, data.weights, recipe.size, options.steps, recipe.seconds, network.FRAME, options.seed, device
    )
    val = collated(data.val, processor)
    settings = loop.Settings(options.epochs, options.steps, recipe.learning_rate, seed=options.seed)
    trainer = _trainer(model, recipe.teacher, lesson, settings, device)

    def join(average: Any) -> Wav2Vec2ForSequenceClassification:
        frames.join(bank, average.model if recipe.teacher else average, whole)
        return whole.eval()

    history = History.of(options)
    history.runs["network"] = trainer.history
    checkpoint = options.work / ("student.pt" if recipe.teacher else "checkpoint.pt")  # their layers differ
    average = trainer.run(epoch, lambda now: validate(join(now), val, data.val_labels), checkpoint, options.resume)
    history.save(options.out)
    finish(spec, join(average), val, data, options.out)


def _copies(
    bank: nn.Sequential, processor: Processor, recipe: Recipe, data: Data, options: argparse.Namespace, classes: int
) -> tuple[Sequence[Sequence[frames.Frames]], Lesson]:
    """Augmented copies of each clip, and what they are to teach."""
    made = bank, processor, data.variants, recipe.augment, recipe.copies, options.seed
    if recipe.teacher is None:
        return frames.compute(*made), of_labels(data.labels, recipe.copies, classes)
    embed = recipe.teacher.encoder.embed

    def make() -> EmbeddedCopies:
        embeddings: list[NDArray[np.float32]] = []
        copies = frames.compute(*made, listen=lambda clips: embeddings.append(embed(clips)))
        return EmbeddedCopies(copies, np.stack(embeddings))

    embedded = EmbeddedCopies.cached(recipe.teacher.kept, make)
    return embedded.copies, distillation.prepare(recipe.teacher, embedded.embeddings, data.labels, classes)


def _trainer(
    model: Wav2Vec2ForSequenceClassification,
    teacher: Teacher | None,
    lesson: Lesson,
    settings: loop.Settings,
    device: torch.device,
) -> loop.Trainer:
    if teacher is None:
        return loop.Trainer(model.to(device), settings)
    assert lesson.embeddings is not None  # noqa: S101 - a teacher gives them
    student = distillation.Student(model, lesson.embeddings.shape[2])
    loss = embedding.loss(teacher.embedding_weight, settings.label_smoothing)
    return loop.Trainer(student.to(device), settings, loss)


def build(
    spec: ModelSpec, processor: Processor, recipe: Recipe, clips: Sequence[Audio]
) -> Wav2Vec2ForSequenceClassification:
    """A network whose filter bank is set, and whose other weights are random."""
    config = network.configuration(spec, recipe.bands, recipe.kernel, recipe.details, **recipe.configuration)
    model = Wav2Vec2ForSequenceClassification(config)
    step = max(1, len(clips) // LEVEL_CLIPS)
    levels = [torch.from_numpy(processor.prepare(clip).features) for clip in clips[::step]]
    initialise(model, recipe.bands, levels, recipe.details)
    return model


def finish(spec: ModelSpec, model: Any, val: Collated, data: Data, out: Path) -> None:
    """Writes everything that a weights folder holds, and says how good it is."""
    network.save_native(model, spec, out)
    report = calibrate.fit(logits(model, val), data.val_labels)
    report.calibration.save(out)
    print(report)
    print({name: round(value, 4) for name, value in report.after.items()})
    difference = network.export(out, [arrays for _, arrays in val[:CHECKED_BATCHES]])
    print(f"largest difference of a probability, compiled against native: {difference:.2g}")
