"""The command line that the trainers share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch


def parser(description: str | None, name: str, out: Path, *, epochs: int, steps: int) -> argparse.ArgumentParser:
    """The options that every trainer has.

    Args:
        description: What the command does.
        name: The model, which names the folder of checkpoints.
        out: Its weights folder.
        epochs: Default length of a training.
        steps: Default length of an epoch.
    """
    made = argparse.ArgumentParser(prog=f"python -m models.{name}.train", description=description)
    made.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    made.add_argument("--out", type=Path, default=out, help="weights folder")
    made.add_argument("--work", type=Path, default=Path("build/training") / name, help="checkpoints and features")
    made.add_argument("--epochs", type=int, default=epochs, help="%(default)s")
    made.add_argument("--steps", type=int, default=steps, help="batches in an epoch (%(default)s)")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    made.add_argument("--threads", type=int, default=0, help="of torch; 0 is its own choice")
    return made


def parse(made: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line, or the arguments given, and sets torch's threads."""
    options = made.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    return options
