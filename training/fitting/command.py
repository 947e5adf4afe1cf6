"""The command line that the trainers share."""

from __future__ import annotations

import argparse
from pathlib import Path

from models import registry


def parser(name: str, description: str | None, *, trainer: str | None = None) -> argparse.ArgumentParser:
    """The options that every trainer has: where the data lies, and where the weights go.

    Args:
        name: The model.
        description: What the command does.
        trainer: Its module below ``training``, where that is not called as the model is.
    """
    made = argparse.ArgumentParser(prog=f"python -m training.{trainer or name}", description=description)
    made.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    made.add_argument("--out", type=Path, default=registry.weights(name), help="weights folder")
    return made
