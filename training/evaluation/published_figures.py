"""The figures that are shipped beside each model's card, for ``/v1/models``.

``python -m training.evaluation.published_figures`` writes them; so do ``training.evaluate`` and ``training.protocol``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import registry
from tasks.voice_deepfake import MEMBERS
from training.evaluation.groups import ENSEMBLE, ENSEMBLE_RECIPE

TRAINING = Path(__file__).parents[1]
FILE_NAME = "figures.json"
VALIDATION = "validation"
MEASURES = ("accuracy", "macro_recall", "roc_auc", "eer")
DIGITS = 4


def shipped(name: str, evaluation: Mapping[str, Any], left_out: Mapping[str, Any]) -> dict[str, Any]:
    """What is shipped with a model.

    Args:
        name: The model.
        evaluation: By model, what ``training.evaluate`` measured.
        left_out: By recipe, what ``training.protocol`` measured; that of AI voices is of the first member.
    """
    parts = {VALIDATION: evaluation[name]} if name in evaluation else {}
    is_first = name == MEMBERS[0]
    parts |= left_out.get(ENSEMBLE if is_first else name, {})
    if is_first:
        parts |= {f"{part}, the ensemble": found for part, found in left_out.get(ENSEMBLE_RECIPE, {}).items()}
    if is_first and ENSEMBLE in evaluation:
        parts[f"{VALIDATION}, the ensemble"] = evaluation[ENSEMBLE]
    return {part: _short(found) for part, found in parts.items()}


def write() -> None:
    """Writes the files of all models."""
    for name in registry.specs():
        found = shipped(name, _read("evaluation.json"), _read("left_out.json"))
        if found:
            path = registry.weights(name).parent / FILE_NAME
            path.write_text(json.dumps(found, indent=1) + "\n")


def _read(file: str) -> dict[str, Any]:
    path = TRAINING / file
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _short(found: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"clips": found["clips"]}
    for name in MEASURES:
        if f"{name}_95" in found:
            made |= {
                name: round(found[name], DIGITS),
                f"{name}_95": [round(one, DIGITS) for one in found[f"{name}_95"]],
            }
    return made


if __name__ == "__main__":
    write()
