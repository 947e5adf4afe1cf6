"""Compares trained face networks: ``python -m models.face_gender.compare FOLDER FOLDER --card``.

Each weights folder is measured on the same validation pictures with its own calibration; with ``--card`` the table goes
into the model's card.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models import registry
from models.calibration import Calibration
from models.face_gender import SPEC
from models.face_gender.data import DEFAULT_CACHE, FaceSet, load
from models.face_gender.figures import figures
from models.face_gender.network import load_native
from models.face_gender.processing import PROCESSOR
from models.face_gender.train import predict
from models.face_gender.twin import Twin
from training.data.datasets import datasets_dir
from training.evaluation import metrics

CARD = Path(__file__).parent / "CARD.md"
BLOCK = re.compile(r"(<!-- comparison: .*? -->\n).*?(<!-- end comparison -->)", re.DOTALL)
COLUMNS = ("network", "parameters", "all", "ages 20-69", "gap, all", "gap, 20-69", "ROC-AUC", "ECE")


@dataclass(frozen=True, slots=True)
class Measured:
    """One network on the validation part.

    Attributes:
        name: Of the architecture.
        parameters: How many numbers it holds.
        groups: Figures by group (``figures.figures``).
        whole: Figures of all pictures (``metrics.summary``).
    """

    name: str
    parameters: int
    groups: Mapping[str, Mapping[str, float]]
    whole: Mapping[str, float]

    def row(self) -> str:
        """Its line of the table."""
        gap = self.groups["gap"]
        rates = (self.groups["all"]["accuracy"], self.groups["age 20-69"]["accuracy"], gap["all"], gap["age 20-69"])
        shown = [f"{rate:.3f}" for rate in (*rates, self.whole["roc_auc"], self.whole["ece"])]
        return f"| {' | '.join((self.name, f'{self.parameters:,}', *shown))} |"


def measure(folder: Path, validation: FaceSet) -> Measured:
    """Measures one network.

    Args:
        folder: Its weights folder.
        validation: Pictures that it was not trained on.
    """
    model = load_native(folder)
    probabilities = Calibration.load(folder).probabilities(predict(Twin(model), validation.crops))
    whole = metrics.summary(validation.labels, probabilities)
    return Measured(model.name, model.count_params(), figures(validation, probabilities), whole)


def table(results: Sequence[Measured]) -> str:
    """All networks in one table; gaps are between the ethnicities with the highest and the lowest accuracy."""
    head = [f"| {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * (len(COLUMNS) - 1)}"]
    return "\n".join([*head, *(result.row() for result in results)]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; with ``--card`` also writes."""
    parser = argparse.ArgumentParser(prog="python -m models.face_gender.compare", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", help="weights folders, beside the bundled one")
    parser.add_argument("--data", type=Path, help="folder of all data sets")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for the aligned crops")
    parser.add_argument("--card", action="store_true", help="write the table into the model's card")
    options = parser.parse_args(arguments)
    validation = load(datasets_dir(options.data), "val", PROCESSOR.size, options.cache)
    folders = [registry.weights(SPEC.name), *options.folders]
    written = table([measure(folder, validation) for folder in folders])
    print(written)
    if options.card:
        CARD.write_text(BLOCK.sub(lambda match: match[1] + written + match[2], CARD.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
