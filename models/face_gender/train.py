"""Trains the face model: ``python -m models.face_gender.train``.

Both architectures are Keras networks; the steps run on their torch twins, which are the same functions (see ``twin``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models import registry
from models.face_gender import SPEC, network
from models.face_gender.backend import keras
from models.face_gender.batches import FaceBatches
from models.face_gender.data import DEFAULT_CACHE, FaceSet, load
from models.face_gender.figures import figures
from models.face_gender.processing import PROCESSOR
from models.face_gender.twin import Twin, copy_weights
from training.data.datasets import datasets_dir
from training.fitting import calibrate
from training.fitting.history import History
from training.fitting.loop import Settings, Trainer, cross_entropy, pick_device
from training.fitting.precision import reduced

TRAIN_SIDE = 128  # pixels: that of the training pictures themselves, so that nothing is lost before augmentation
IMAGENET = Path("../shared/weights/mobilenet_v2_1.0_224_no_top.h5")
EVALUATION_BATCH = 60  # pictures; so many are also compared between the native and the compiled network
RECIPES = {  # peak learning rate, weight decay, epochs
    "vgg16": (1.5e-3, 0.05, 20),
    "mobilenet_v2": (6e-4, 0.05, 16),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, calibrates and exports; prints the figures on the validation part."""
    options = _options(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    keras.utils.set_random_seed(options.seed)
    model = _network(options)
    datasets = datasets_dir(options.data)
    validation = load(datasets, "val", PROCESSOR.size, options.cache)
    history = History.of(options)
    trained = _train(model, options, load(datasets, "train", TRAIN_SIDE, options.cache), validation, history)
    copy_weights(model, rounded(trained.cpu()), to_keras=True)
    history.save(options.out)
    finish(model, validation, options.out)
    return 0


def finish(model: keras.Model, validation: FaceSet, out: Path) -> None:
    """Writes a trained network, its calibration and its compiled form, and prints its figures.

    Args:
        model: The trained network.
        validation: Pictures that it was not trained on.
        out: The weights folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    network.save(model, out)
    logits = predict(Twin(model), validation.crops)
    report = calibrate.fit(logits, validation.labels)
    report.calibration.save(out)
    inputs = [PROCESSOR.collate([PROCESSOR.prepare(crop).features for crop in validation.crops[:EVALUATION_BATCH]])]
    difference = network.export(out, inputs)
    print(f"{report}\nlargest probability difference native against compiled: {difference:.5f}")
    print(json.dumps(figures(validation, report.calibration.probabilities(logits)), indent=1))


@torch.inference_mode()
def predict(module: torch.nn.Module, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits of many crops.

    Args:
        module: A twin.
        crops: uint8 [pictures, size, size, 3].

    Returns:
        float32 [pictures, classes].
    """
    module.eval()
    device = next(module.parameters()).device
    parts = [crops[start : start + EVALUATION_BATCH] for start in range(0, len(crops), EVALUATION_BATCH)]
    return np.concatenate([module(torch.from_numpy(part).to(device).float()).cpu().numpy() for part in parts])


@torch.no_grad()
def rounded(module: Twin) -> Twin:
    """Rounds kernels to what 16 bits hold, as the compiled form does, so that both forms give the same answer."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.copy_(parameter.half().float())
    return module


def _train(
    model: keras.Model, options: argparse.Namespace, pictures: FaceSet, validation: FaceSet, history: History
) -> Twin:
    device = pick_device()
    rate, decay, _ = RECIPES[options.architecture]
    rate = options.rate or rate
    teachers = tuple(Twin(network.load_native(folder)).eval().to(device) for folder in options.teacher)
    batches = FaceBatches(pictures, PROCESSOR.size, seed=options.seed, teachers=teachers, device=device)
    smoothing = 0.0 if teachers else 0.05
    settings = Settings(options.epochs, batches.steps, rate, decay, label_smoothing=smoothing, seed=options.seed)
    trainer = Trainer(Twin(model).to(device), settings, reduced(cross_entropy(smoothing), device))
    history.runs[options.architecture] = trainer.history

    def validate(module: torch.nn.Module) -> Mapping[str, float]:
        measured = figures(validation, predict(module, validation.crops))
        return {"all": measured["all"]["accuracy"], "adults": measured["age 20-69"]["accuracy"]}

    trained = trainer.run(batches, validate, options.work / "checkpoint.pt", options.resume)
    assert isinstance(trained, Twin)  # noqa: S101 - for the type checker
    return trained


def _network(options: argparse.Namespace) -> keras.Model:
    if options.start:
        return network.load_native(options.start)
    if options.architecture == "vgg16":
        return network.vgg16(PROCESSOR.size, imagenet=options.imagenet)
    return network.mobilenet_v2(PROCESSOR.size, options.imagenet)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.face_gender.train", description=__doc__)
    parser.add_argument("--architecture", choices=RECIPES, default="mobilenet_v2")
    parser.add_argument("--epochs", type=int, help="passes over the training pictures")
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--start", type=Path, help="weights folder to go on from, instead of the architecture anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    parser.add_argument("--data", type=Path, help="folder of all data sets")
    parser.add_argument("--work", type=Path, default=Path("build/training") / SPEC.name, help="checkpoints")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for the aligned crops")
    parser.add_argument("--imagenet", type=Path, help="Keras HDF5 file of it, without its top")
    parser.add_argument("--teacher", type=Path, nargs="*", default=[], help="weights folders to learn from")
    parser.add_argument("--threads", type=int, default=0, help="threads of the processor; 0 leaves it to torch")
    parser.add_argument("--out", type=Path, default=registry.weights(SPEC.name))
    options = parser.parse_args(arguments)
    if options.architecture == "mobilenet_v2":
        options.imagenet = options.imagenet or IMAGENET
    if options.imagenet and not options.start and not options.imagenet.exists():
        parser.error(f"no ImageNet weights in {options.imagenet}: give --imagenet, or train --architecture vgg16")
    options.epochs = options.epochs or RECIPES[options.architecture][2]
    return options


if __name__ == "__main__":
    sys.exit(main())
