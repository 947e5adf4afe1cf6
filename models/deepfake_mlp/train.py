"""Trains the feature network; with ``--folds`` it is first measured on training groups that it did not see."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.deepfake_mlp import SPEC, network
from models.deepfake_mlp.data import Bank, folds, training, validation, write_human_speech
from models.training import command, loop, metrics
from models.training.calibrate import fit
from models.training.datasets import balanced_weights, datasets_dir, draw
from models.training.history import History

BATCH = 64  # clips of each copy of the network
STEPS = 25  # of one epoch
ORIGINAL_SHARE = 0.7  # of the clips drawn are unchanged: noise and codecs hide what is to be learned
MIXUP = 0.4  # both parameters of the beta distribution of the shares


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command.parser(__doc__, SPEC.name, network.WEIGHTS, epochs=30, steps=STEPS)
    parser.add_argument("--copies", type=int, default=8, help="networks trained side by side")
    parser.add_argument("--variants", type=int, default=4, help="changed copies of each clip")
    parser.add_argument("--folds", type=int, default=0, help="measure by cross-validation over so many folds first")
    train(command.parse(parser, arguments))


def train(options: argparse.Namespace) -> None:
    """Measures, trains, saves, calibrates and exports."""
    data = datasets_dir(options.data)
    bank = training(options.work / "features.npz", data, options.variants, options.seed)
    if options.folds:
        print(json.dumps(cross_validate(bank, options), indent=1))
    features, labels = validation(data)
    history = History.of(options)
    trained = fit_network(
        bank, options, options.work / "checkpoint.pt", lambda module: _figures(module, features, labels), history
    )
    history.save(options.out)
    network.save(trained.cpu(), options.out)
    write_human_speech(bank, options.out)
    finish(options.out, features, labels)


def finish(weights: Path, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Calibrates the saved network on validation clips, as ``data.validation`` gives them, and compiles it."""
    logits = network.run(network.load_native(weights), features)
    report = fit(logits, labels)
    report.calibration.save(weights)
    difference = network.export(weights, features)
    print(report)
    print({name: round(value, 4) for name, value in report.after.items()})
    print(f"largest difference of a probability, compiled against native: {difference:.5f}")


def fit_network(
    bank: Bank,
    options: argparse.Namespace,
    checkpoint: Path | None = None,
    validate: loop.Validate | None = None,
    history: History | None = None,
) -> network.FeatureNetwork:
    """Trains one network on all clips of a bank.

    Args:
        bank: The clips.
        options: ``epochs``, ``steps``, ``copies``, ``seed`` and ``resume`` of the command line.
        checkpoint: Written after every epoch.
        validate: Called after every epoch.
        history: Where the course of the training goes.

    Returns:
        The averaged network, in evaluation mode.
    """
    torch.manual_seed(options.seed)
    module = network.FeatureNetwork(network.Config(copies=options.copies))
    module.fit_scaling(torch.from_numpy(bank.features.reshape(-1, bank.features.shape[-1])))
    module.to(loop.pick_device())
    standardised = module.standardise(torch.from_numpy(bank.features).to(module.center.device))
    settings = loop.Settings(
        options.epochs,
        options.steps,
        learning_rate=5e-3,
        weight_decay=0.05,
        ema_decay=0.99,
        max_norm=1e9,
        seed=options.seed,
    )
    trainer = loop.Trainer(module, settings, _loss(settings.label_smoothing))
    if history:
        history.runs["network"] = trainer.history
    batches = _Batches(standardised, bank.labels, module.config, options.steps, options.seed)
    trained = trainer.run(batches, validate, checkpoint, options.resume)
    assert isinstance(trained, network.FeatureNetwork)  # noqa: S101 - for the type checker
    return trained.eval()


def cross_validate(bank: Bank, options: argparse.Namespace) -> dict[str, float]:
    """ROC-AUC and EER over training clips whose speaker or system the network did not see.

    Args:
        bank: The clips.
        options: As for ``fit_network``, and ``folds``.
    """
    fold = folds(bank.groups, options.folds)
    scores = np.zeros(len(fold))
    once = argparse.Namespace(**{**vars(options), "resume": False})
    for part in range(options.folds):
        seen, kept = fold != part, fold == part
        trained = fit_network(Bank(bank.features[seen], bank.labels[seen], bank.groups[seen]), once)
        logits = network.run(trained.cpu(), bank.features[kept, 0])
        scores[kept] = logits[:, 1] - logits[:, 0]
    positive = bank.labels == 1
    within = [metrics.roc_auc(positive[fold == part], scores[fold == part]) for part in range(options.folds)]
    return {
        "cv_roc_auc": metrics.roc_auc(positive, scores),
        "cv_roc_auc_within_folds": float(np.mean(within)),
        "cv_eer": metrics.equal_error_rate(positive, scores),
    }


class _Batches:
    """Batches of an epoch: labels in balance, other clips for each copy, mixed in pairs, noisy, with gaps."""

    def __init__(
        self, features: Tensor, labels: NDArray[np.int64], config: network.Config, steps: int, seed: int
    ) -> None:
        self.features, self.labels, self.config = features, labels, config
        self.steps, self.seed = steps, seed
        self.weights = balanced_weights(labels.tolist())

    def __call__(self, epoch: int) -> Iterator[loop.Batch]:
        rng = np.random.default_rng((self.seed, epoch))
        for _ in range(self.steps):
            yield self._one(rng)

    def _one(self, rng: np.random.Generator) -> loop.Batch:
        copies, device = self.config.copies, self.features.device
        clips = draw(self.weights, BATCH * copies, rng)
        changed = rng.integers(1, max(2, self.features.shape[1]), len(clips)) % self.features.shape[1]
        variant = np.where(rng.random(len(clips)) < ORIGINAL_SHARE, 0, changed)
        values = self.features[clips, variant].reshape(copies, BATCH, -1)
        targets = loop.one_hot(self.labels[clips], len(SPEC.classes)).to(device).reshape(copies, BATCH, -1)
        share = torch.from_numpy(rng.beta(MIXUP, MIXUP, (copies, BATCH, 1))).float().to(device)
        partner = torch.from_numpy(rng.permutation(BATCH)).to(device)
        values = share * values + (1 - share) * values[:, partner]
        targets = share * targets + (1 - share) * targets[:, partner]
        values = values + self.config.noise * torch.randn_like(values)
        return loop.Batch({"values": values * (torch.rand_like(values) > self.config.input_dropout)}, targets)


def _figures(module: torch.nn.Module, features: NDArray[np.float32], labels: NDArray[np.int64]) -> Mapping[str, float]:
    """ROC-AUC and EER on validation clips."""
    with torch.inference_mode():
        logits = module(torch.from_numpy(features).to(next(module.parameters()).device)).cpu().numpy()
    scores = logits[:, 1] - logits[:, 0]
    return {"roc_auc": metrics.roc_auc(labels == 1, scores), "eer": metrics.equal_error_rate(labels == 1, scores)}


def _loss(smoothing: float) -> loop.Loss:
    """Cross-entropy of every copy, summed over copies so that each trains as if alone."""

    def loss(module: torch.nn.Module, batch: loop.Batch) -> Tensor:
        assert isinstance(module, network.FeatureNetwork)  # noqa: S101 - for the type checker
        logits = module.opinions(batch.inputs["values"]).flatten(0, 1)
        losses = torch.nn.functional.cross_entropy(logits, batch.targets.flatten(0, 1), label_smoothing=smoothing)
        return losses * module.config.copies

    return loss


if __name__ == "__main__":
    main()
