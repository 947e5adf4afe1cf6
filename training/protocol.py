"""Measures each recipe on what it did not see: ``python -m training.protocol [NAME ...]``.

Every choice of a recipe is made by these figures, and by nothing else: cross-validation by person over the training and
validation parts, and the same with whole sources or synthesisers left out. The figures go to ``training/left_out.json``
and from there into the cards. Chance is drawn with fixed seeds, so the same machine gives the same figures.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.datasets import Clip, class_indices, datasets_dir
from training.evaluation import metrics, published_figures, tables
from training.evaluation.folds import Split

RESULTS = Path(__file__).parent / "left_out.json"
RECIPES = (
    "voice_gender",
    "audio_scene",
    "voice_deepfake",
    "ensemble",
    "face_gender",
    "heart_sound",
)  # modules of this package

Rows = NDArray[np.float64]
Predict = Callable[[Sequence[Clip]], Rows]  # calibrated probabilities, float64 [clips, classes]


class Recipe(Protocol):
    """What a module of this package offers as ``RECIPE``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the probabilities."""

    def clips(self, data: Path) -> list[Clip]:
        """All labelled clips of the training and validation parts, in a fixed order."""

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """By title, how the clips are divided."""

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """By title, the group that each clip counts in (source, language ...)."""

    def fit(self, clips: Sequence[Clip]) -> Predict:
        """Fits a fresh model; what it returns predicts other clips."""


def recipe(name: str) -> Recipe:
    """The recipe of a model."""
    found: Recipe = importlib.import_module(f"training.{name}").RECIPE
    return found


def measure(recipe: Recipe, data: Path) -> dict[str, Any]:
    """Figures of a recipe under each of its schemes."""
    clips = recipe.clips(data)
    groups = recipe.groupings(clips)
    return {
        title: figures(recipe.classes, clips, out_of_fold(recipe, clips, splits), groups)
        for title, splits in recipe.schemes(clips).items()
    }


def out_of_fold(recipe: Recipe, clips: Sequence[Clip], splits: Sequence[Split]) -> Rows:
    """Probabilities of each clip by models that did not see it, float64 [clips, classes].

    A clip that several splits test has the mean; one that none tests has NaN.
    """
    total = np.zeros((len(clips), len(recipe.classes)))
    count = np.zeros((len(clips), 1))
    for split in splits:
        predict = recipe.fit([clips[place] for place in split.train])
        total[split.test] += predict([clips[place] for place in split.test])
        count[split.test] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def figures(
    classes: Sequence[str], clips: Sequence[Clip], rows: Rows, groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Figures of out-of-fold probabilities, with bootstrap intervals that draw whole persons.

    Args:
        classes: In the order of the columns.
        clips: The clips.
        rows: float64 [clips, classes]; rows of NaN are left out.
        groups: By title, the group of each clip.
    """
    tested = np.flatnonzero(~np.isnan(rows).any(axis=1))
    labels, rows = class_indices(clips, classes)[tested], rows[tested]
    people = [clips[place].group for place in tested.tolist()]
    found: dict[str, Any] = {"clips": int(tested.size), "people": len(set(people))}
    for name, figure in _measures(len(classes)).items():
        low, high = metrics.interval(figure, labels, rows, people, rounds=500)
        found |= {name: figure(labels, rows), f"{name}_95": [low, high]}
    recalls = zip(classes, metrics.recalls(labels, rows).tolist(), strict=True)
    found["recall"] = {name: recall for name, recall in recalls if not np.isnan(recall)}
    right = rows.argmax(axis=1) == labels
    for title, values in groups.items():
        names = np.array(values)[tested]
        found[title] = {
            name: {"clips": int((names == name).sum()), "accuracy": float(right[names == name].mean())}
            for name in sorted(set(names.tolist()))
        }
    return found


def _measures(classes: int) -> Mapping[str, metrics.Figure]:
    measures: dict[str, metrics.Figure] = {"accuracy": metrics.accuracy, "macro_recall": metrics.macro_recall}
    if classes == 2:
        measures["roc_auc"] = lambda labels, rows: metrics.roc_auc(labels == 1, rows[:, 1])
        measures["eer"] = lambda labels, rows: metrics.equal_error_rate(labels == 1, rows[:, 1])
    return measures


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the named recipes, or all, and writes their figures."""
    parser = argparse.ArgumentParser(prog="python -m training.protocol", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; all when none is given")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in RECIPES]:
        parser.error(f"no recipe is called {', '.join(unknown)}, there are {', '.join(RECIPES)}")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.names or RECIPES:
        results[name] = measure(recipe(name), datasets_dir(options.data))
        for title, found in results[name].items():
            print(f"{name}, {title}: {found['accuracy']:.3f} of {found['clips']} clips", flush=True)
        RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    tables.write_left_out(json.loads(RESULTS.read_text()))  # in the order of the file
    published_figures.write()


if __name__ == "__main__":
    main()
