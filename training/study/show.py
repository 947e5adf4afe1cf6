"""Tables and sounds in a notebook."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import soundfile
from IPython.display import HTML, Markdown
from numpy.typing import NDArray

from training.evaluation import metrics
from training.evaluation.answers import Answers
from training.evaluation.figures import figures
from training.evaluation.groups import Key
from training.evaluation.tables import table
from training.study.study import Study


def data(study: Study, column: str) -> Markdown:
    """Clips and groups of each part of a data set, by class and by a column of its manifest."""
    parts = {split: study.clips(split) for split in ("train", "val")}
    counts = {name: Counter((clip.label, clip.fields[column]) for clip in clips) for name, clips in parts.items()}
    keys = sorted(set().union(*counts.values()))
    rows: list[tuple[object, ...]] = [(*key, counts["train"][key], counts["val"][key]) for key in keys]
    rows.append(("all", "", len(parts["train"]), len(parts["val"])))
    groups = [len({clip.group for clip in clips}) for clips in parts.values()]
    rows.append(("groups (people, recordings)", "", *groups))
    return Markdown(table(("class", column, "train", "val"), "--rr", rows))


def report(answers: Answers) -> Markdown:
    """Precision, recall, F1 and support of each class, and the whole."""
    counts = metrics.confusion(answers.labels, np.eye(len(answers.classes))[answers.decided])
    reports = metrics.class_reports(counts)
    rows: list[tuple[object, ...]] = [
        (name, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", one.support)
        for name, one in zip(answers.classes, reports, strict=True)
    ]
    precision, recall, f1 = (
        float(np.nanmean([getattr(one, key) for one in reports])) for key in ("precision", "recall", "f1")
    )
    rows.append(("mean", f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}", len(answers.labels)))
    right = float(np.mean(answers.decided == answers.labels))
    return Markdown(
        table(("class", "precision", "recall", "F1", "support"), "-rrrr", rows) + f"\nAccuracy {right:.3f}."
    )


def groups(answers: Answers, keys: Mapping[str, Key]) -> Markdown:
    """Accuracy by group, with its interval."""
    found = figures(answers, keys)["groups"]
    parts = [
        table(
            (title, "clips", "accuracy (95 % interval)"),
            "-r-",
            [
                (
                    key,
                    one["clips"],
                    f"{one['accuracy']:.3f} ({one['accuracy_95'][0]:.3f} to {one['accuracy_95'][1]:.3f})",
                )
                for key, one in rows.items()
            ],
        )
        for title, rows in found.items()
    ]
    return Markdown("\n".join(parts))


def errors(answers: Answers, columns: Sequence[str], most: int = 8) -> Markdown:
    """The wrong answers that were given most surely, with columns of the manifest."""
    rows = []
    for place in worst(answers)[:most]:
        clip, given = answers.clips[place], answers.decided[place]
        sure = f"{answers.served[place, given]:.2f}"
        rows.append((clip.path.name, clip.label, answers.classes[given], sure, *(clip.fields[c] for c in columns)))
    wrong = f"{len(worst(answers))} of {len(answers.labels)} are wrong; those answered most surely:\n\n"
    return Markdown(
        wrong + table(("file", "truth", "answer", "probability", *columns), "---r" + "-" * len(columns), rows)
    )


def worst(answers: Answers) -> NDArray[np.int64]:
    """Places of the wrong answers, the surest first, int64 [errors]."""
    wrong = np.flatnonzero(answers.decided != answers.labels)
    return wrong[np.argsort(-answers.served[wrong, answers.decided[wrong]], kind="stable")]


def sound(samples: NDArray[np.float32], rate: int) -> HTML:
    """A player; the sound is kept in the notebook as MP3.

    Args:
        samples: float32 [samples] in [-1, 1].
        rate: Samples per second (Hz), one that MP3 knows.
    """
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3")
    return HTML(f'<audio controls src="data:audio/mpeg;base64,{base64.b64encode(file.getvalue()).decode()}"></audio>')
