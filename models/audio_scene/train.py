"""Trains the scene classifier: a few small convolution networks first, then the transformer that learns from them.

They in turn learn from a voice activity detector as well as from the labels (``activity``).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dsp.kaldi import FLOOR
from models.audio_scene import SPEC, activity, bank, network
from models.audio_scene.activity import VoiceActivity
from models.audio_scene.processing import PROCESSOR
from models.audio_scene.validation import Windows, load_validation
from models.training import calibrate, command, embedding, loop, metrics
from models.training.datasets import datasets_dir, draw
from models.training.history import History
from models.training.precision import reduced

BATCH = 32
STEPS = 40  # of one epoch
RATES = (1e-3, 5e-4)  # peak learning rate of the transformer: anew, and where it goes on from another's weights
SMOOTHING = 0.05  # of the labels
EMBEDDING_WEIGHT = 1.0  # of the error in reading off what the detector makes of a window (mean squared, unit variance)
TEACHER_SHARE = 0.9  # of the transformer's targets; the rest is the labels
LOG_PER_DB = np.log(10) / 10  # log energy for one decibel


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command.parser(__doc__, SPEC.name, network.WEIGHTS, epochs=150, steps=STEPS)
    parser.add_argument("--teacher-epochs", type=int, default=30)
    parser.add_argument("--teachers", type=int, default=3)
    parser.add_argument("--variants", type=int, default=10, help="pictures of each clip")
    parser.add_argument("--start", type=Path, help="weights folder of a transformer to go on from")
    parser.add_argument("--without-detector", action="store_true", help="the teachers learn from the labels alone")
    train(command.parse(parser, arguments))


def train(options: argparse.Namespace) -> None:
    """Trains, saves, calibrates and exports."""
    data = datasets_dir(options.data)
    detector = None if options.without_detector else VoiceActivity.load(activity.WEIGHTS.fetch())
    made = data, options.variants, 40 * options.variants, options.seed
    pictures = bank.cached(options.work / "bank.npz", *made, detector)
    validation, history = load_validation(data), History.of(options)
    teachers = [_teacher(options, pictures, validation, place, history) for place in range(options.teachers)]
    student = _student(options, pictures, validation, teachers, history)
    history.save(options.out)
    network.save(student.cpu(), options.out)
    finish(options.out, data)


def finish(weights: Path, data: Path) -> None:
    """Calibrates the saved network on the validation part and writes its compiled form."""
    validation = load_validation(data)
    logits = _predict(network.load_native(weights), validation.pictures)
    report = calibrate.fit(logits, validation.labels[validation.clips])
    report.calibration.save(weights)
    print(report)
    pictures = validation.pictures
    checked = range(0, min(len(pictures), 100), 40)
    difference = network.export(weights, [PROCESSOR.collate(list(pictures[start : start + 8])) for start in checked])
    print(f"largest difference of a probability, compiled against native: {difference:.5f}")


def _teacher(
    options: argparse.Namespace,
    pictures: bank.Bank,
    validation: Windows,
    place: int,
    history: History,
) -> nn.Module:
    settings = loop.Settings(
        options.teacher_epochs, options.steps, 2e-3, seed=options.seed + 1000 * (place + 1), ema_decay=0.99
    )
    torch.manual_seed(settings.seed)
    device = loop.pick_device()
    taught = pictures.activity is not None
    loss = embedding.loss(EMBEDDING_WEIGHT, SMOOTHING) if taught else loop.cross_entropy(SMOOTHING)
    trainer = loop.Trainer(network.Teacher().to(device), settings, reduced(loss, device))
    history.runs[f"teacher {place + 1}"] = trainer.history
    return trainer.run(
        lambda epoch: _batches(pictures, options.steps, settings.seed + epoch, device),
        lambda module: _figures(module, validation),
        options.work / f"teacher{place}.pt",
        options.resume,
    )


def _student(
    options: argparse.Namespace,
    pictures: bank.Bank,
    validation: Windows,
    teachers: list[nn.Module],
    history: History,
) -> nn.Module:
    rate = RATES[options.start is not None]
    settings = loop.Settings(options.epochs, options.steps, rate, seed=options.seed, ema_decay=0.995)
    torch.manual_seed(settings.seed)
    device = loop.pick_device()
    sample = PROCESSOR.normalise(pictures.pictures[:: max(1, len(pictures.labels) // 500)].astype(np.float32))
    transformer = network.load(options.start) if options.start else network.create(sample)
    trainer = loop.Trainer(transformer.to(device), settings, reduced(_distillation(teachers), device))
    history.runs["transformer"] = trainer.history
    return trainer.run(
        lambda epoch: _batches(pictures, options.steps, settings.seed + epoch, device),
        lambda module: _figures(module, validation),
        options.work / "student.pt",
        options.resume,
    )


def _distillation(teachers: list[nn.Module]) -> loop.Loss:
    """Cross-entropy against a mix of the labels and the teachers' mean opinion of the same pictures."""
    if not teachers:
        return loop.cross_entropy(SMOOTHING)
    plain = loop.cross_entropy(0.0)

    def loss(module: nn.Module, batch: loop.Batch) -> Tensor:
        with torch.no_grad():
            opinions = [loop.logits_of(teacher, batch.inputs).softmax(dim=1) for teacher in teachers]
        opinion = torch.stack(opinions).mean(dim=0)
        return plain(module, replace(batch, targets=TEACHER_SHARE * opinion + (1 - TEACHER_SHARE) * batch.targets))

    return loss


def _batches(pictures: bank.Bank, steps: int, seed: int, device: torch.device) -> Iterator[loop.Batch]:
    """One epoch of changed pictures, half of the batches mixed in pairs."""
    rng = np.random.default_rng(seed)
    latest = pictures.pictures.shape[1] - PROCESSOR.max_length
    for chosen in draw(pictures.weights, steps * BATCH, rng).reshape(steps, BATCH):
        starts = rng.integers(0, latest + 1, BATCH)
        windows = [
            change(pictures.pictures[place, start : start + PROCESSOR.max_length], rng)
            for place, start in zip(chosen, starts, strict=True)
        ]
        values = [torch.from_numpy(np.stack(windows)), loop.one_hot(pictures.labels[chosen], len(SPEC.classes))]
        if pictures.activity is not None:
            values.append(torch.from_numpy(pictures.heard(chosen, starts)))
        if rng.random() < 0.5:
            order, share = torch.from_numpy(rng.permutation(BATCH)), float(rng.beta(0.4, 0.4))
            values = [share * value + (1 - share) * value[order] for value in values]
        inputs, targets, *embeddings = (value.to(device) for value in values)
        yield loop.Batch({"input_values": inputs}, targets, *embeddings)


def change(picture: NDArray[np.float16], rng: np.random.Generator) -> NDArray[np.float32]:
    """A window of a picture, with another level and colour and with gaps (SpecAugment), normalised.

    Args:
        picture: float16 [frames, mel bins], log energies.
        rng: Source of chance.

    Returns:
        float32 [frames, mel bins].
    """
    frames, bins = picture.shape
    tilt = np.linspace(-1, 1, bins, dtype=np.float32) * rng.normal(0, 2)
    shift = LOG_PER_DB * (rng.uniform(-3, 3) + tilt)
    energies = picture.astype(np.float32) + shift.astype(np.float32)
    changed = PROCESSOR.normalise(np.maximum(energies, np.log(FLOOR)))
    for axis, (size, widest) in enumerate(((frames, 40), (bins, 10))):
        for _ in range(2):
            width = int(rng.integers(0, widest))
            start = int(rng.integers(0, size - width))
            changed[(slice(None),) * axis + (slice(start, start + width),)] = 0
    return changed


def _figures(module: nn.Module, validation: Windows) -> Mapping[str, float]:
    """Accuracy and recalls on the validation clips."""
    opinions = torch.from_numpy(_predict(module, validation.pictures)).softmax(dim=1).numpy()
    probabilities = validation.mean(opinions)
    recalls = zip(SPEC.classes, metrics.recalls(validation.labels, probabilities), strict=True)
    return {"accuracy": metrics.accuracy(validation.labels, probabilities), **{k: float(v) for k, v in recalls}}


def _predict(module: nn.Module, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits, float32 [clips, classes]."""
    device = next(module.parameters()).device
    with torch.inference_mode():
        pieces = torch.split(torch.from_numpy(pictures), 32)
        parts = [loop.logits_of(module, {"input_values": piece.to(device)}).cpu() for piece in pieces]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


if __name__ == "__main__":
    main()
