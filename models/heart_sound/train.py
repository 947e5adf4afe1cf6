"""Trains the heart sound ensemble by cross-validation over groups; every fold leaves one member behind.

The members' answers about the recordings that they did not see decide the trade-off between overall accuracy and the
recall of rare classes (logit adjustment); the validation part takes no part in it. ``--calibrate`` does this, and what
follows, for weights that are there already.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor, nn

from models.calibration import Calibration
from models.heart_sound import SPEC, bank, network
from models.heart_sound.processing import PROCESSOR, pack
from training import export
from training.data.datasets import balanced_weights, datasets_dir, draw
from training.evaluation import metrics
from training.fitting import calibrate, command, loop, unseen
from training.fitting.history import History
from training.fitting.precision import reduced

BATCH = 32
STEPS = 30  # of one epoch
FRAMES = 256  # of a training piece: 5.1 s
BALANCE = 0.5  # of the classes while training: 0 as in the data, 1 all alike
ADJUSTMENTS = np.linspace(0.0, 1.0, 21)  # tried powers of the class frequencies
FIRST_TARGETS = (0.75, 0.60)  # accuracy, macro recall


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command.parser(__doc__, SPEC.name, network.WEIGHTS, epochs=20, steps=STEPS)
    parser.add_argument("--variants", type=int, default=12, help="changed copies of each recording")
    parser.add_argument("--calibrate", action="store_true", help="train nothing: calibrate and export what is in --out")
    options = command.parse(parser, arguments)
    if not options.calibrate:
        train(options)
    finish(options.out, datasets_dir(options.data), options.seed)


def train(options: argparse.Namespace) -> None:
    """Trains and saves."""
    data = datasets_dir(options.data)
    original = bank.recordings(data, "train")
    varied = bank.cached(options.work / "bank.npz", data, options.variants, options.seed)
    history, ensemble = History.of(options), network.Ensemble(network.MEMBERS)
    for fold, (inside, outside) in enumerate(_folds(original, options.seed)):
        copies = (inside[:, None] * options.variants + np.arange(options.variants)).ravel()
        member = _member(options, fold, varied.subset(copies), original.subset(outside), history)
        ensemble.members[fold].load_state_dict(member.state_dict())
    history.save(options.out)
    ensemble.save(options.out)


def finish(weights: Path, data: Path, seed: int) -> None:
    """Chooses the adjustment on the unseen folds, the temperature on the validation part, and exports.

    Args:
        weights: Folder with the native files.
        data: Folder of all data sets.
        seed: That the networks were trained with.
    """
    ensemble, original, validation = network.load_native(weights), *(bank.recordings(data, s) for s in ("train", "val"))
    held, labels = unseen_answers(ensemble, original, seed), original.labels
    shift = adjustment(held, labels)
    logits = answers(ensemble, validation) + shift
    temperature = calibrate.fit(logits, validation.labels, bias=False).calibration.temperature
    Calibration(temperature, tuple(float(value) for value in shift / temperature)).save(weights)
    unseen.save(weights, _figures(held + shift, labels))
    for name, scores, truth in (("unseen folds", held + shift, labels), ("val", logits, validation.labels)):
        print(name, _report(scores, truth))
    items = [pack(s, p) for s, p in zip(validation.summaries, validation.pictures, strict=True)]
    difference = network.export(
        weights, [PROCESSOR.collate(items[start : start + 6]) for start in range(0, min(60, len(items)), 6)]
    )
    print(f"largest difference of a probability, compiled against native: {difference:.5f}")


def unseen_answers(ensemble: network.Ensemble, recordings: bank.Bank, seed: int) -> NDArray[np.float32]:
    """Logits of training recordings, each by the member that was not trained on it, float32 [recordings, classes]."""
    logits = np.zeros((len(recordings.labels), network.CLASSES), np.float32)
    for member, (_, outside) in zip(ensemble.members, _folds(recordings, seed), strict=True):
        logits[outside] = answers(member, recordings.subset(outside))
    return logits


def _folds(recordings: bank.Bank, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each member the places of the recordings that it is trained on, and of the others."""
    folds = StratifiedGroupKFold(network.MEMBERS, shuffle=True, random_state=seed)
    yield from folds.split(recordings.labels, recordings.labels, recordings.groups)


def adjustment(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logit adjustment (Menon et al., ICLR 2021): minus a power of the class frequencies, the power chosen here.

    Args:
        logits: float32 [recordings, classes], of networks that did not see the recordings.
        labels: int64 [recordings].

    Returns:
        float32 [classes]: of the powers tried, the one whose weaker figure is furthest above its target.
    """
    rarity = -np.log(np.bincount(labels, minlength=network.CLASSES) / len(labels))
    best, chosen = -np.inf, np.zeros_like(rarity)
    for power in ADJUSTMENTS:
        scores = logits + power * rarity
        accuracy, recall = metrics.accuracy(labels, scores), metrics.macro_recall(labels, scores)
        print(f"adjustment {power:.2f}: accuracy {accuracy:.3f}, macro recall {recall:.3f}")
        margin = min(accuracy - FIRST_TARGETS[0], recall - FIRST_TARGETS[1])
        if margin > best:
            best, chosen = margin, power * rarity
    return np.asarray(chosen - chosen.mean(), np.float32)


def _report(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> str:
    recalls = zip(SPEC.classes, metrics.recalls(labels, scores), strict=True)
    figures = " ".join(f"{name} {value:.2f}" for name, value in recalls)
    accuracy, recall = metrics.accuracy(labels, scores), metrics.macro_recall(labels, scores)
    return f"accuracy {accuracy:.3f} macro recall {recall:.3f} {figures}"


def _member(
    options: argparse.Namespace, fold: int, examples: bank.Bank, held: bank.Bank, history: History
) -> nn.Module:
    settings = loop.Settings(options.epochs, options.steps, 2e-3, seed=options.seed + 1000 * fold, ema_decay=0.99)
    torch.manual_seed(settings.seed)
    device = loop.pick_device()
    member = network.Member()
    member.summary.standardise(examples.summaries)
    trainer = loop.Trainer(member.to(device), settings, reduced(_loss, device))
    history.runs[f"fold {fold + 1}"] = trainer.history
    return trainer.run(
        lambda epoch: _batches(examples, options.steps, settings.seed + epoch, device),
        lambda module: _figures(answers(module, held), held.labels) if len(trainer.history) % 5 == 4 else {},
        options.work / f"member{fold}.pt",
        options.resume,
    ).cpu()


def _loss(module: nn.Module, batch: loop.Batch) -> Tensor:
    """Each view answers for itself, so that neither leaves the work to the other."""
    assert isinstance(module, network.Member)  # noqa: S101 - tells mypy
    losses = [
        nn.functional.cross_entropy(view, batch.targets, label_smoothing=0.05)
        for view in module.opinions(**batch.inputs)
    ]
    return losses[0] + losses[1]


def _batches(examples: bank.Bank, steps: int, seed: int, device: torch.device) -> Iterator[loop.Batch]:
    """One epoch of pieces, half of the batches mixed in pairs."""
    rng = np.random.default_rng(seed)
    weights = balanced_weights(examples.labels.tolist(), powers=(BALANCE,))
    for chosen in draw(weights, steps * BATCH, rng).reshape(steps, BATCH):
        pieces = PROCESSOR.collate([pack(examples.summaries[i], _piece(examples.pictures[i], rng)) for i in chosen])
        inputs = {name: torch.from_numpy(value) for name, value in pieces.items()}
        targets = loop.one_hot(examples.labels[chosen], network.CLASSES)
        if rng.random() < 0.5:
            order, share = torch.from_numpy(rng.permutation(BATCH)), float(rng.beta(0.4, 0.4))
            for name in ("spectrogram", "summary"):
                inputs[name] = share * inputs[name] + (1 - share) * inputs[name][order]
            inputs["mask"] = torch.maximum(inputs["mask"], inputs["mask"][order])
            targets = share * targets + (1 - share) * targets[order]
        yield loop.Batch({name: value.to(device) for name, value in inputs.items()}, targets.to(device))


def _piece(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A random piece of at most ``FRAMES`` frames, with gaps in time and bands (SpecAugment)."""
    start = int(rng.integers(0, max(1, len(picture) - FRAMES + 1)))
    piece = picture[start : start + FRAMES].copy()
    for axis, widest in ((0, 25), (1, 6)):
        width = int(rng.integers(0, widest))
        first = int(rng.integers(0, max(1, piece.shape[axis] - width)))
        piece[(slice(None),) * axis + (slice(first, first + width),)] = 0
    return piece


def answers(module: nn.Module, recordings: bank.Bank) -> NDArray[np.float32]:
    """Logits of whole recordings, one at a time, float32 [recordings, classes]."""
    device = next(module.parameters()).device
    items = [pack(s, p) for s, p in zip(recordings.summaries, recordings.pictures, strict=True)]
    module = module.cpu()
    logits = np.concatenate([export.logits(module, PROCESSOR.collate([item])) for item in items])
    module.to(device)
    return logits


def _figures(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Mapping[str, float]:
    return {"accuracy": metrics.accuracy(labels, logits), "macro_recall": metrics.macro_recall(labels, logits)}


if __name__ == "__main__":
    main()
