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
from transformers import Wav2Vec2ForSequenceClassification

from models import registry
from models.calibration import Calibration
from models.processing import Processor
from models.spec import ModelSpec
from models.training import calibrate, command, loop, metrics
from models.training.augment import Audio, Transform
from models.training.history import History
from models.wav2vec2 import frames, headstart, network
from models.wav2vec2.details import Details
from models.wav2vec2.filterbank import Band, initialise

Collated = Sequence[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]
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


def arguments(name: str, epochs: int, given: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line of ``python -m models.<name>.train``.

    Args:
        name: The model.
        epochs: As many as the bundled weights were trained for.
        given: The arguments; those of the process where none are given.
    """
    made = command.parser(__doc__, name, registry.weights(name), epochs=epochs, steps=STEPS)
    return command.parse(made, given)


def train(spec: ModelSpec, processor: Processor, recipe: Recipe, data: Data, options: argparse.Namespace) -> None:
    """Trains, saves, calibrates, compiles."""
    torch.manual_seed(options.seed)
    device = loop.pick_device()
    model = build(spec, processor, recipe, [forms[0] for forms in data.variants])
    whole = copy.deepcopy(model)
    bank = frames.split(model)
    copies = frames.compute(bank, processor, data.variants, recipe.augment, recipe.copies, options.seed)
    recipe.start(model, copies, data.labels, data.weights, data.groups)
    epoch = frames.FrameBatches(
        copies, data.labels, data.weights, len(spec.classes), recipe.size, options.steps, recipe.seconds,
        network.FRAME, options.seed, device,
    )  # fmt: skip
    val = collated(data.val, processor)
    settings = loop.Settings(options.epochs, options.steps, recipe.learning_rate, seed=options.seed)
    trainer = loop.Trainer(model.to(device), settings)

    def check(average: Any) -> dict[str, float]:
        frames.join(bank, average, whole)
        return validate(whole.eval(), val, data.val_labels)

    history = History.of(options)
    history.runs["network"] = trainer.history
    frames.join(bank, trainer.run(epoch, check, options.work / "checkpoint.pt", options.resume), whole)
    history.save(options.out)
    finish(spec, whole.eval(), val, data, options.out)


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


def collated(clips: Sequence[Audio], processor: Processor, size: int = 16) -> Collated:
    """Clips in batches of similar length, unchanged.

    Returns:
        For each batch the places of its clips, int64 [batch], and the network's inputs.
    """
    order = np.argsort([clip.size for clip in clips], kind="stable").astype(np.int64)
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    return [(part, processor.collate([processor.prepare(clips[i]).features for i in part])) for part in parts]


def logits(model: torch.nn.Module, val: Collated) -> NDArray[np.float32]:
    """Logits float32 [clips, classes] in the order of the clips before they were collated."""
    device = next(model.parameters()).device
    size = sum(len(places) for places, _ in val)
    result = np.zeros((size, 0), np.float32)
    for places, arrays in val:
        inputs = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        with torch.inference_mode():
            answer = loop.logits_of(model, inputs).cpu().numpy()
        result = result if result.shape[1] else np.zeros((size, answer.shape[1]), np.float32)
        result[places] = answer
    return result


def validate(model: torch.nn.Module, val: Collated, labels: NDArray[np.int64]) -> dict[str, float]:
    """Figures before calibration, for the progress bar and the history."""
    answers = logits(model, val)
    probabilities = Calibration.identity(answers.shape[1]).probabilities(answers)
    figures = metrics.summary(labels, probabilities)
    return {name: figures[name] for name in ("accuracy", "roc_auc", "eer", "ece")}


def finish(spec: ModelSpec, model: Any, val: Collated, data: Data, out: Path) -> None:
    """Writes everything that a weights folder holds, and says how good it is."""
    network.save_native(model, spec, out)
    report = calibrate.fit(logits(model, val), data.val_labels)
    report.calibration.save(out)
    print(report)
    print({name: round(value, 4) for name, value in report.after.items()})
    difference = network.export(out, [arrays for _, arrays in val[:CHECKED_BATCHES]])
    print(f"largest difference of a probability, compiled against native: {difference:.2g}")
