"""Writes measured figures into the README and the cards, between markers, so that nobody has to copy a number.

A block begins with ``<!-- figures: NAME -->`` and ends with ``<!-- end -->``. NAME is ``overview``, a model, or a model
with ``-network`` or ``-calibration`` behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models import registry
from models.evaluation.groups import ENSEMBLE
from models.evaluation.targets import TARGETS
from operations.voice_deepfake import MEMBERS

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"(<!-- figures: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
Figures = Mapping[str, Any]


def write_all(results: Figures) -> None:
    """Fills every block of the README and of the cards."""
    for path in documents():
        path.write_text(fill(path.read_text(), results))


def documents() -> list[Path]:
    """The files that have blocks."""
    return [ROOT / "README.md", *sorted(ROOT.glob("models/*/CARD.md"))]


def fill(text: str, results: Figures) -> str:
    """Replaces the contents of the blocks whose figures are known."""
    return BLOCK.sub(lambda match: match[1] + _content(match["name"], results, match[0]) + match[3], text)


def _content(block: str, results: Figures, present: str) -> str:
    if block == "overview":
        return overview(results)
    name, _, kind = block.partition("-")
    if name not in results:
        return present.partition("\n")[2].removesuffix("<!-- end -->")
    writers: Mapping[str, Callable[[str, Figures], str]] = {"": _card, "network": _network, "calibration": _calibration}
    return writers[kind](name, results[name])


def overview(results: Figures) -> str:
    """The README's table: one line for each model, and one for the ensemble after its members."""
    names = [name for name in registry.specs() if name in results and name not in MEMBERS]
    names += [name for name in (*MEMBERS, ENSEMBLE) if name in results]
    rows = []
    for name in names:
        found = results[name]
        auc, eer = (f"{found[key]:.3f}" if key in found else "" for key in ("roc_auc", "eer"))
        rows.append(
            (_title(name), found["clips"], _figure(found, "accuracy"), f"{found['macro_recall']:.3f}", auc, eer,
             f"{found['calibration']['after']['ece']:.3f}", _licence(name))
        )  # fmt: skip
    head = (
        "model",
        "clips",
        "accuracy (95 % interval)",
        "macro recall",
        "ROC-AUC",
        "EER",
        "ECE",
        "weights may be used",
    )
    return table(head, "-r-rrrr-", rows)


def _title(name: str) -> str:
    """A model's title, as a link to its card; that of the ensemble is the card of its first member."""
    title = registry.specs()[name].title if name in registry.specs() else "**AI-generated voice: the ensemble**"
    return f"[{title}](models/{MEMBERS[0] if name == ENSEMBLE else name}/CARD.md)"


def _licence(name: str) -> str:
    return registry.specs()[MEMBERS[0] if name == ENSEMBLE else name].licence


def _card(name: str, found: Figures) -> str:
    """The whole, each class, each group."""
    rows = [
        (label, *(f"{one[key]:.3f}" for key in ("precision", "recall", "f1")), one["support"])
        for label, one in found["classes"].items()
    ]
    parts = ["\n\n".join(_sentences(name, found)) + "\n"]
    if name in TARGETS:
        parts.append(_targets(name, found))
    parts.append(table(("class", "precision", "recall", "F1", "support"), "-rrrr", rows))
    for title, groups in found["groups"].items():
        rows = [(key, one["clips"], one["people"], _figure(one, "accuracy")) for key, one in groups.items()]
        parts.append(table((title, "clips", _people(name), "accuracy (95 % interval)"), "-rr-", rows))
    if "weightings" in found:
        parts.append(_weightings(found))
    return "\n".join(parts)


def _sentences(name: str, found: Figures) -> list[str]:
    """The whole, in words."""
    above = f"At the threshold of {found['threshold']:.2f}: accuracy" if name == ENSEMBLE else "Accuracy"
    sentences = [
        f"{found['clips']} validation clips of {found['people']} {_people(name)}, {found['refused']} refused (counted "
        f"as wrong). {above} {_figure(found, 'accuracy')}, macro recall {_figure(found, 'macro_recall')}.",
    ]
    if "roc_auc" in found:
        sentences.append(f"ROC-AUC {_figure(found, 'roc_auc')}, equal error rate {_figure(found, 'eer')}.")
    if unseen := found.get("unseen_systems"):
        sentences.append(
            f"People against synthesisers that training had not heard ({unseen['clips']} clips): ROC-AUC "
            f"{_figure(unseen, 'roc_auc')}, equal error rate {_figure(unseen, 'eer')}."
        )
    if gap := found.get("ethnicity_gap"):
        sentences.append(f"Accuracy of the best less that of the worst served ethnicity: {_figure(gap, 'accuracy')}.")
    if folds := found.get("unseen_folds"):
        sentences.append(
            f"On training recordings, each answered by the one network that had not seen it: accuracy "
            f"{folds['accuracy']:.3f}, macro recall {folds['macro_recall']:.3f} (`weights/unseen_folds.json`)."
        )
    return sentences


def _people(name: str) -> str:
    """What a group of clips that belong together is."""
    kinds = {"face_gender": "people", "heart_sound": "patients or days", "audio_scene": "speakers, authors or tracks"}
    return kinds.get(name, "speakers" if name == "voice_gender" else "voices")


def _targets(name: str, found: Figures) -> str:
    """What was aimed at, and what is reached."""
    rows = []
    for target in TARGETS[name]:
        figure, met = target.reached(found)
        aim = f"{target.title} {'at most' if target.most else 'at least'} {target.value:.2f}"
        rows.append((aim + (" (beyond)" if target.beyond else ""), f"{figure:.3f}", "yes" if met else "no"))
    return table(("aimed at", "reached", "met"), "-r-", rows)


def _weightings(found: Figures) -> str:
    head = (
        "weights of wav2vec2, CNN, features",
        "ROC-AUC",
        "EER",
        f"accuracy above {found['threshold']:.2f}",
        "above 0.50",
    )
    keys = ("roc_auc", "eer", "accuracy_at_threshold", "accuracy_at_half")
    rows = [(name, *(f"{one[key]:.3f}" for key in keys)) for name, one in found["weightings"].items()]
    return table(head, "-rrrr", rows)


def _network(name: str, found: Figures) -> str:
    size, spec = found["network"], registry.specs()[name]
    return (
        f"{spec.architecture}. {size['parameters']:,} parameters, statistics included; "
        f"{size['native_mb']:.1f} MB as trained ({spec.library}), {size['compiled_mb']:.1f} MB as served.\n"
    )


def _calibration(name: str, found: Figures) -> str:
    measured = found["calibration"]
    rows = [
        (when.replace("_", "-"), f"{measured[when]['ece']:.3f}", f"{measured[when]['brier']:.3f}")
        for when in ("before", "after", "cross_fitted")
    ]
    lines = table(("calibration", "ECE", "Brier score"), "-rr", rows) + (
        "\nThe served values were fitted on the clips that the second line is measured on; for the third, each fifth\n"
        f"of the {_people(name)} was calibrated by values fitted on the others.\n"
    )
    if "temperature" not in measured:
        return lines
    bias = ", ".join(f"{label} {value:+.2f}" for label, value in zip(found["classes"], measured["bias"], strict=True))
    return f"Temperature {measured['temperature']:.2f}; bias {bias}.\n\n{lines}"


def _figure(found: Figures, key: str) -> str:
    low, high = found[f"{key}_95"]
    return f"{found[key]:.3f} ({low:.3f} to {high:.3f})"


def table(head: Sequence[str], align: str, rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; ``align`` has a letter for each column, ``r`` for numbers."""
    marks = ["---:" if letter == "r" else "---" for letter in align]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in (head, marks, *rows))
