"""Trains the spectrogram member: several networks of other seeds on pictures balanced by label, language and system."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models import export
from models.deepfake_cnn import SPEC, bank, network
from models.deepfake_cnn.processing import PROCESSOR, centre
from models.processing import Features
from models.training import calibrate, command, loop, metrics
from models.training.datasets import datasets_dir, draw
from models.training.history import History

BATCH = 64
STEPS = 40  # of one epoch
FRAMES = (128, 384)  # shortest and longest training piece: 1.3 s, 3.8 s; one length for each batch


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command.parser(__doc__, SPEC.name, network.WEIGHTS, epochs=5, steps=STEPS)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--variants", type=int, default=2, help="pictures of each clip")
    train(command.parse(parser, arguments))


def train(options: argparse.Namespace) -> None:
    """Trains, saves, calibrates and exports."""
    data = datasets_dir(options.data)
    pictures = bank.cached(options.work / "bank.npz", data, options.variants, options.seed)
    validation = bank.validation(data)
    ensemble, history = network.Ensemble(options.members), History.of(options)
    for place in range(options.members):
        member = _member(options, place, pictures, validation, history)
        ensemble.members[place].load_state_dict(member.state_dict())
    history.save(options.out)
    ensemble.save(options.out)
    finish(options.out, validation)


def finish(weights: Path, validation: bank.Validation) -> None:
    """Calibrates the saved networks on the validation part and writes the compiled form."""
    logits = answers(network.load_native(weights), validation.features)
    report = calibrate.fit(logits, validation.labels)
    report.calibration.save(weights)
    print(report)
    print(metrics.summary(validation.labels, report.calibration.probabilities(logits)))
    checked = range(0, min(80, len(validation.features)), 8)
    batches = [PROCESSOR.collate(validation.features[start : start + 8]) for start in checked]
    print(f"largest difference of a probability, compiled against native: {network.export(weights, batches):.5f}")


def _member(
    options: argparse.Namespace, place: int, pictures: bank.Bank, validation: bank.Validation, history: History
) -> nn.Module:
    settings = loop.Settings(options.epochs, options.steps, 1e-3, 0.1, seed=options.seed + 1000 * place, ema_decay=0.99)
    torch.manual_seed(settings.seed)
    device = loop.pick_device()
    trainer = loop.Trainer(network.TextureCnn().to(device), settings, loop.cross_entropy(0.1))
    history.runs[f"member {place + 1}"] = trainer.history
    return trainer.run(
        lambda epoch: _batches(pictures, options.steps, settings.seed + epoch, device),
        lambda module: _figures(module, validation),
        options.work / f"member{place}.pt",
        options.resume,
    ).cpu()


def _batches(pictures: bank.Bank, steps: int, seed: int, device: torch.device) -> Iterator[loop.Batch]:
    """One epoch of random pieces."""
    rng = np.random.default_rng(seed)
    for chosen in draw(pictures.weights, steps * BATCH, rng).reshape(steps, BATCH):
        frames = int(rng.integers(*FRAMES))
        pieces = PROCESSOR.collate([_piece(pictures.pictures[place], frames, rng) for place in chosen])
        inputs = {name: torch.from_numpy(value).to(device) for name, value in pieces.items()}
        yield loop.Batch(inputs, loop.one_hot(pictures.labels[chosen], network.CLASSES).to(device))


def _piece(picture: NDArray[np.float16], frames: int, rng: np.random.Generator) -> Features:
    """At most so many frames of a picture, from a random place, as ``processing.centre`` gives them."""
    start = int(rng.integers(0, max(1, len(picture) - frames + 1)))
    return centre(picture[start : start + frames].astype(np.float32))


def answers(module: nn.Module, features: list[Features]) -> NDArray[np.float32]:
    """Logits of whole clips, float32 [clips, classes]."""
    device = next(module.parameters()).device
    module = module.cpu()
    batches = [PROCESSOR.collate(features[start : start + 16]) for start in range(0, len(features), 16)]
    logits = np.concatenate([export.logits(module, batch) for batch in batches])
    module.to(device)
    return logits


def _figures(module: nn.Module, validation: bank.Validation) -> Mapping[str, float]:
    logits = answers(module, validation.features)
    positive, score = validation.labels == bank.AI, logits[:, bank.AI] - logits[:, 1 - bank.AI]
    return {"roc_auc": metrics.roc_auc(positive, score), "eer": metrics.equal_error_rate(positive, score)}


if __name__ == "__main__":
    main()
