"""Writes measured figures into the README and the cards, between markers, so that no number is copied by hand.

A block begins with ``<!-- figures: NAME -->`` and ends with ``<!-- end -->``. NAME is ``overview``, a model, or a model
with ``-network`` or ``-calibration`` behind it; ``left-out`` and ``NAME-left-out`` are filled from what
``training.protocol`` measured, ``NAME-robustness`` from what ``training.robustness`` did, ``NAME-refused`` from what
``training.refused`` did. ``licences`` is made of each ``SPEC``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models import registry
from tasks.voice_deepfake import MEMBERS
from training.evaluation.groups import ENSEMBLE, ENSEMBLE_RECIPE
from training.evaluation.targets import TARGETS

ROOT = Path(__file__).parents[2]
LEFT_OUT = "left-out"  # ends the names of blocks that are filled from ``training/left_out.json``
ROBUSTNESS = "robustness"  # those that are filled from ``training/robustness.json``
REFUSED = "refused"  # those that are filled from ``training/refused.json``
USUALLY_CALIBRATED_ON = "were fitted on training clips, each answered by a model that had not met its group"
CALIBRATED_ON = {
    "face_gender": "were fitted on pictures that were kept back from training",
    "heart_sound": "are constants of the recipe, which were chosen by its left-out answers",
}
BLOCK = re.compile(r"(<!-- figures: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
Figures = Mapping[str, Any]


def write_all(results: Figures) -> None:
    """Fills every block of the README and of the cards but those of left-out figures."""
    for path in documents():
        path.write_text(fill(path.read_text(), results))


def write_left_out(left_out: Figures) -> None:
    """Fills the cards' blocks of left-out figures.

    Args:
        left_out: By recipe, what ``training.protocol.measure`` gives.
    """
    for path in documents():
        path.write_text(fill(path.read_text(), {}, left_out))


def write_robustness(robustness: Figures) -> None:
    """Fills the cards' blocks of robustness.

    Args:
        robustness: By model, what ``training.robustness.measure`` gives.
    """
    for path in documents():
        path.write_text(fill(path.read_text(), {}, robustness=robustness))


def write_block(name: str, content: str) -> None:
    """Fills one block, in whichever documents have it."""
    for path in documents():
        text = path.read_text()
        filled = BLOCK.sub(lambda match: match[1] + content + match[3] if match["name"] == name else match[0], text)
        path.write_text(filled)


def documents() -> list[Path]:
    """The files that have blocks."""
    return [ROOT / "README.md", *sorted(ROOT.glob("models/*/CARD.md"))]


def fill(text: str, results: Figures, left_out: Figures | None = None, robustness: Figures | None = None) -> str:
    """Replaces the contents of the blocks whose figures are known.

    Args:
        text: A document.
        results: By model, what ``training.evaluate`` measured.
        left_out: By recipe, what ``training.protocol`` measured.
        robustness: By model, what ``training.robustness`` measured.
    """
    if robustness:
        text = BLOCK.sub(lambda match: match[1] + _turned_of(match["name"], robustness, match[0]) + match[3], text)
    return BLOCK.sub(
        lambda match: match[1] + _content(match["name"], results, left_out or {}, match[0]) + match[3], text
    )


def _turned_of(block: str, robustness: Figures, present: str) -> str:
    name, _, kind = block.partition("-")
    return _turned(robustness[name]) if kind == ROBUSTNESS and name in robustness else _present(present)


def _present(match: str) -> str:
    """What a block holds already."""
    return match.partition("\n")[2].removesuffix("<!-- end -->")


def _content(block: str, results: Figures, left_out: Figures, present: str) -> str:
    name, _, kind = block.partition("-")
    if block == "licences":
        return _licences()
    if block == "overview" and results:
        return overview(results)
    if block == LEFT_OUT and left_out:
        return _left_out_overview(left_out)
    if kind == LEFT_OUT and name in left_out:
        return _left_out(left_out[name])
    if kind in (LEFT_OUT, ROBUSTNESS, REFUSED) or name not in results:
        return _present(present)
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


def _licences() -> str:
    """The README's first table: a line for each kind of terms, with the models that have them."""
    models: dict[str, list[str]] = {}
    for name, spec in registry.specs().items():
        models.setdefault(spec.licence, []).append(_title(name))
    return table(("weights", "may be used"), "--", [(", ".join(titles), terms) for terms, titles in models.items()])


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
            f"People against synthesisers that training had not met ({unseen['clips']} clips): ROC-AUC "
            f"{_figure(unseen, 'roc_auc')}, equal error rate {_figure(unseen, 'eer')}."
        )
    if gap := found.get("ethnicity_gap"):
        sentences.append(f"Accuracy of the best less that of the worst served ethnicity: {_figure(gap, 'accuracy')}.")
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
        aim = f"{target.title} {'at most' if target.most else 'at least'} {target.value:g}"
        rows.append((aim + (" (beyond)" if target.beyond else ""), f"{figure:.3f}", "yes" if met else "no"))
    return table(("aimed at", "reached", "met"), "-r-", rows)


def _weightings(found: Figures) -> str:
    head = {"roc_auc": "ROC-AUC", "eer": "EER", "accuracy_at_threshold": f"accuracy above {found['threshold']:.2f}"}
    if found["threshold"] != 0.5:
        head["accuracy_at_half"] = "above 0.50"
    rows = [(name, *(f"{one[key]:.3f}" for key in head)) for name, one in found["weightings"].items()]
    return table(("weights of encoder, CNN, features", *head.values()), "-" + "r" * len(head), rows)


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
    lines = table(("calibration", "ECE", "Brier score"), "-rr", rows) + _fitted_on(name)
    if "temperature" not in measured:
        return lines
    bias = ", ".join(f"{label} {value:+.2f}" for label, value in zip(found["classes"], measured["bias"], strict=True))
    return f"Temperature {measured['temperature']:.2f}; bias {bias}.\n\n{lines}"


def _fitted_on(name: str) -> str:
    """Which clips the values of the calibration table were fitted on."""
    fifth = f"For the third line each fifth\nof the {_people(name)} was calibrated by values fitted on the others.\n"
    return f"\nThe served values {CALIBRATED_ON.get(name, USUALLY_CALIBRATED_ON)}. {fifth}"


def _left_out_overview(left_out: Figures) -> str:
    """The README's table: a line for each recipe and scheme."""
    keys = ("accuracy", "macro_recall", "roc_auc", "eer")
    names = {ENSEMBLE: MEMBERS[0], ENSEMBLE_RECIPE: ENSEMBLE}
    rows = [
        (_title(names.get(name, name)), scheme, found["clips"],
         *(_figure(found, key) if key in found else "" for key in keys))
        for name, schemes in left_out.items() for scheme, found in schemes.items()
    ]  # fmt: skip
    head = ("model", "", "clips", "accuracy (95 % interval)", "macro recall", "ROC-AUC", "EER")
    return table(head, "--r----", rows)


def _left_out(found: Figures) -> str:
    """The whole under each scheme, recalls of the classes, and accuracies of the groups."""
    parts, schemes, first = [], list(found), next(iter(found.values()))
    shown = {"accuracy": "accuracy (95 % interval)", "macro_recall": "macro recall", "roc_auc": "ROC-AUC", "eer": "EER"}
    keys = [key for key in shown if key in first]
    rows: list[tuple[object, ...]] = [
        (title, one["clips"], one["people"], *(_figure(one, key) for key in keys)) for title, one in found.items()
    ]
    parts.append(table(("", "clips", "groups", *(shown[key] for key in keys)), "-rr" + "-" * len(keys), rows))
    classes = list(first["recall"])
    rows = [(title, *(_recall(one["recall"].get(name)) for name in classes)) for title, one in found.items()]
    parts.append(table(("recall", *classes), "-" + "r" * len(classes), rows))
    for grouping in (key for key, value in first.items() if isinstance(value, Mapping) and key != "recall"):
        names = sorted({name for one in found.values() for name in one[grouping]})
        clips = [max(one[grouping].get(name, {"clips": 0})["clips"] for one in found.values()) for name in names]
        columns = [[_accuracy(one[grouping].get(name)) for name in names] for one in found.values()]
        rows = list(zip(names, clips, *columns, strict=True))
        parts.append(
            table((grouping, "clips", *(f"accuracy, {title}" for title in schemes)), "-r" + "r" * len(schemes), rows)
        )
    return "\n".join(parts)


def _turned(found: Figures) -> str:
    """Shares of the right answers that changes to the recording or picture turn."""
    sources = found.get("by_source", {})
    rows = [
        (title, f"{share:.3f}", *(f"{one[title]:.3f}" for one in sources.values()))
        for title, share in found["turned"].items()
    ]
    about = f"Of {found['right']} {found.get('of', 'validation clips')} that are answered rightly as they are:\n\n"
    return about + table(("change", "answered otherwise or refused", *sources), "-r" + "r" * len(sources), rows)


def _accuracy(found: Figures | None) -> str:
    return f"{found['accuracy']:.3f}" if found else ""


def _recall(share: float | None) -> str:
    """Blank for a class of which there is no clip."""
    return "" if share is None else f"{share:.3f}"


def _figure(found: Figures, key: str) -> str:
    low, high = found[f"{key}_95"]
    return f"{found[key]:.3f} ({low:.3f} to {high:.3f})"


def table(head: Sequence[str], align: str, rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; ``align`` has a letter for each column, ``r`` for numbers."""
    marks = ["---:" if letter == "r" else "---" for letter in align]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in (head, marks, *rows))
