"""Measures what is served, on the validation parts: ``python -m models.evaluate`` (``make evaluate``).

The figures go to ``models/evaluation.json``, and from there into the README and the cards. With ``--check`` nothing is
written: the command fails where the figures of the committed weights are not those that the documents give.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.settings import get_settings
from models import registry
from models.calibration import Calibration
from models.evaluation import figures, tables
from models.evaluation.answers import Answers, answer, ensemble
from models.evaluation.groups import DATASETS, ENSEMBLE, groupings
from models.evaluation.size import size
from models.training.datasets import datasets_dir, read_manifest
from operations.voice_deepfake import MEMBERS
from runners.predictor import Predictor

RESULTS = Path(__file__).parent / "evaluation.json"
DIGITS = 4
# Another processor may round the other way where two classes are nearly alike: two clips of the smallest part.
TOLERANCE = 0.03


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
    result["calibration"] = figures.calibration(answers, Calibration.load(weights))
    result["network"] = size(weights)
    if "ethnicity" in groups:
        result["ethnicity_gap"] = figures.gap(answers, groups["ethnicity"])
    return result


def _ensemble(members: Sequence[Answers], data: Path) -> dict[str, Any]:
    settings = get_settings()
    answers, groups = ensemble(members), groupings(ENSEMBLE, read_manifest(data / DATASETS[ENSEMBLE], "train"))
    result = figures.figures(answers, groups)
    result["calibration"] = figures.calibration(answers)
    result["unseen_systems"] = figures.unseen_systems(answers, groups["system"])
    result["threshold"] = settings.ensemble_threshold
    result["weightings"] = figures.weightings(members, settings.ensemble_threshold)
    return result


def differences(new: Any, old: Any, place: str = "") -> Iterator[str]:
    """Where two sets of figures disagree by more than ``TOLERANCE``, or in form; a line for each place.

    Groups, intervals and single classes are left out: they follow from the same answers, and hang on single clips.
    """
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        for key in sorted({*new, *old}):
            if key not in ("groups", "confusion", "classes") and not key.endswith("_95"):
                yield from differences(new.get(key), old.get(key), f"{place}/{key}")
    elif isinstance(new, float) and isinstance(old, float):
        if abs(new - old) > TOLERANCE:
            yield f"{place}: {new} measured, {old} written"
    elif new != old:
        yield f"{place}: {new} measured, {old} written"


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates, and writes the figures or compares them.

    Returns:
        The exit status: 1 where ``--check`` found a difference.
    """
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; all when none is given")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where the figures differ")
    options = parser.parse_args(arguments)
    known: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found = _rounded(evaluate(options.names or list(registry.specs()), datasets_dir(options.data)))
    if options.check:
        wrong = list(differences(found, {name: known.get(name) for name in found}))
        print("\n".join(wrong) or f"the figures of {', '.join(found)} are those in the documents", file=sys.stderr)
        return int(bool(wrong))
    results = dict(sorted((known | found).items()))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    tables.write_all(results)
    return 0


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    rounded: dict[str, Any] = json.loads(json.dumps(values), parse_float=lambda text: round(float(text), DIGITS))
    return rounded


if __name__ == "__main__":
    sys.exit(main())
