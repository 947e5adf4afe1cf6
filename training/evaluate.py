"""Measures what is served, on the validation parts: ``python -m training.evaluate`` (``make evaluate``).

The figures go to ``training/evaluation.json``, and from there into README and cards. With ``--check``, nothing is
written: the command fails where the figures of the committed weights are not those that the documents give.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.settings import get_settings
from engine.predictor import Predictor
from models import registry
from models.calibration import Calibration
from tasks.voice_deepfake import MEMBERS
from training.data.datasets import datasets_dir, read_manifest
from training.evaluation import figures, published_figures, tables
from training.evaluation.answers import Answers, answer, ensemble
from training.evaluation.cross_fitting import cross_fitted
from training.evaluation.groups import DATASETS, ENSEMBLE, groupings
from training.evaluation.size import size

RESULTS = Path(__file__).parent / "evaluation.json"
DIGITS = 6  # of what is kept; documents show three, and rounding twice would move the last
ADJUSTED = ("heart_sound",)  # their biases come from training; the validation part gives the temperature alone
# Another processor may round the other way where two classes are nearly alike: for two clips of a part.
MOVED_CLIPS = 2
SMALLEST_TOLERANCE = 0.005  # of a large part
ROUNDING = 10**-DIGITS
FOLLOWING = ("precision", "f1")  # from the confusion matrix


def evaluate(names: Sequence[str], data: Path) -> dict[str, Any]:
    """Figures of each named model, and of the ensemble where all its members are named.

    Args:
        names: Models.
        data: Folder of all data sets.
    """
    given = {name: answer(Predictor.bundled(name), read_manifest(data / DATASETS[name], "val")) for name in names}
    results = {name: _model(name, answers, data) for name, answers in given.items()}
    if set(MEMBERS) <= set(names):
        results[ENSEMBLE] = _ensemble([given[name] for name in MEMBERS], data)
    return results


def _model(name: str, answers: Answers, data: Path) -> dict[str, Any]:
    weights, groups = registry.weights(name), groupings(name, read_manifest(data / DATASETS[name], "train"))
    result = figures.figures(answers, groups)
    calibration = Calibration.load(weights)
    shift = np.multiply(calibration.temperature, calibration.bias) if name in ADJUSTED else None
    result["calibration"] = figures.calibration(answers, cross_fitted(answers, shift), calibration)
    result["network"] = size(registry.complete(name))
    if "ethnicity" in groups:
        result["ethnicity_gap"] = figures.gap(answers, groups["ethnicity"])
    return result


def _ensemble(members: Sequence[Answers], data: Path) -> dict[str, Any]:
    settings = get_settings()
    answers, groups = ensemble(members), groupings(ENSEMBLE, read_manifest(data / DATASETS[ENSEMBLE], "train"))
    result = figures.figures(answers, groups)
    refitted = ensemble([dataclasses.replace(member, served=cross_fitted(member)) for member in members])
    result["calibration"] = figures.calibration(answers, refitted.served)
    result["unseen_systems"] = figures.unseen_systems(answers, groups["system"])
    result["threshold"] = settings.voting.threshold
    result["weightings"] = figures.weightings(members, settings.voting)
    return result


def tolerance(clips: int) -> float:
    """By how much a share of so many clips may differ."""
    return max(MOVED_CLIPS / clips, SMALLEST_TOLERANCE)


def differences(new: Any, old: Any, place: str = "", clips: int = 1) -> Iterator[str]:
    """Where two sets of figures disagree by more than their tolerance, or in form; a line for each place.

    Figures of a part, class or group are held to the tolerance of its number of clips, a confusion matrix to so many
    clips. Intervals are left out, and so are precision and F1, which follow from the confusion matrix.

    Args:
        new: Figures by name, or a part of them.
        old: The same, as written.
        place: Where the part is in the whole.
        clips: In the part.
    """
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        clips = old.get("support", old.get("clips", clips))
        for key in sorted({*new, *old}):
            if key not in FOLLOWING and not key.endswith("_95"):
                yield from differences(new.get(key), old.get(key), f"{place}/{key}", clips)
    elif not _agree(new, old, clips, counts=place.endswith("/confusion")):
        yield f"{place}: {new} measured, {old} written"


def _agree(new: Any, old: Any, clips: int, *, counts: bool) -> bool:
    if isinstance(new, float) and isinstance(old, float):
        return bool(abs(new - old) <= tolerance(clips) + ROUNDING)
    if counts and np.shape(new) == np.shape(old):  # a clip that moves leaves one cell for another
        return bool(np.abs(np.subtract(new, old)).sum() <= 2 * tolerance(clips) * clips)
    return bool(new == old)


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates, and writes the figures or compares them.

    Returns:
        The exit status: 1 where ``--check`` found a difference.
    """
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    models = list(registry.specs())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(models)}; all when none is given")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where the figures differ")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in models]:
        parser.error(f"no model is called {', '.join(unknown)}, there are {', '.join(models)}")
    known: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found = _rounded(evaluate(options.names or models, datasets_dir(options.data)))
    if options.check:
        wrong = list(differences(found, {name: known.get(name) for name in found}))
        print("\n".join(wrong) or f"the figures of {', '.join(found)} are those in the documents", file=sys.stderr)
        return int(bool(wrong))
    results = dict(sorted((known | found).items()))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    tables.write_all(results)
    published_figures.write()
    return 0


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    rounded: dict[str, Any] = json.loads(json.dumps(values), parse_float=lambda text: round(float(text), DIGITS))
    return rounded


if __name__ == "__main__":
    sys.exit(main())
