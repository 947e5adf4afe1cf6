"""Averages trained networks of one architecture: ``python -m models.face_gender.average FOLDER FOLDER --out FOLDER``.

Works for runs that started from the same weights (Wortsman et al., "Model soups", ICML 2022): the mean of their weights
costs nothing while serving and is right more often than any of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from models import registry
from models.face_gender import SPEC
from models.face_gender.backend import keras
from models.face_gender.data import DEFAULT_CACHE, load
from models.face_gender.network import load_native
from models.face_gender.processing import PROCESSOR
from models.face_gender.train import finish, rounded
from models.face_gender.twin import Twin, copy_weights
from training.data.datasets import datasets_dir


def average(models: Sequence[keras.Model]) -> keras.Model:
    """The mean of several networks, written into the first.

    Args:
        models: Of one architecture.
    """
    first = models[0]
    for variables in zip(*(model.weights for model in models), strict=True):
        variables[0].assign(torch.stack([variable.value.detach() for variable in variables]).mean(0))
    copy_weights(first, rounded(Twin(first)), to_keras=True)
    return first


def main(arguments: Sequence[str] | None = None) -> int:
    """Averages, calibrates and exports; prints the figures on the validation part."""
    parser = argparse.ArgumentParser(prog="python -m models.face_gender.average", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="weights folders")
    parser.add_argument("--data", type=Path, help="folder of all data sets")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for the aligned crops")
    parser.add_argument("--out", type=Path, default=registry.weights(SPEC.name))
    options = parser.parse_args(arguments)
    validation = load(datasets_dir(options.data), "val", PROCESSOR.size, options.cache)
    finish(average([load_native(folder) for folder in options.folders]), validation, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
