"""One model's story: its data, its training and its answers, in one of three forms.

``FORM`` in the environment chooses:

- ``short``: a few clips everywhere, as CI runs it;
- ``bundled`` (the default): the bundled weights on the whole validation part; training is shown on a few clips;
- ``full``: trains as long as the command does, and tells of the network trained here.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from engine.predictor import Predictor
from models import completion, registry
from models.store import Entry
from training import evaluate
from training.data.datasets import Clip, Split, datasets_dir, read_manifest
from training.data.excerpt import excerpt
from training.evaluation.answers import Answers, answer
from training.evaluation.groups import DATASETS
from training.fitting.history import History

Form = Literal["short", "bundled", "full"]
WORK = Path("build/notebooks")
FEW = 5  # clips of each class, where a few do: as many as the heart sounds have folds


@dataclass(frozen=True, slots=True)
class Training:
    """A finished run of a training command.

    Attributes:
        weights: The folder that it wrote.
        history: The course of the training.
        said: The last lines that it printed.
    """

    weights: Path
    history: History
    said: str


class Study:
    """A model and its data, in the form that ``FORM`` asks for.

    Args:
        name: The model.
        work: Folder for what is made on the way; no two notebooks that run at once may share it.
    """

    def __init__(self, name: str, work: Path | None = None) -> None:
        self.form = cast(Form, os.environ.get("FORM") or "bundled")
        self.name = name
        self.spec = registry.specs()[name]
        self.work = (work or WORK / name) / self.form  # what one form keeps is of no use to another
        if self.form != "full":
            shutil.rmtree(self.work, ignore_errors=True)
        self.data = datasets_dir()
        self.few = excerpt(self.data, self.work / "data", FEW)
        self.trained: Training | None = None

    def clips(self, split: Split) -> list[Clip]:
        """The clips of a part of the data set: a few in the short form."""
        return read_manifest((self.few if self.form == "short" else self.data) / DATASETS[self.name], split)

    def train(self, *quick: str, caches: str | None = None) -> Training:
        """Runs ``python -m training.NAME``.

        Args:
            quick: Arguments for a quick look at a few clips; in the full form the command's own defaults hold.
            caches: A further option that names a folder for what is kept between runs, besides ``--work``.
        """
        full, out = self.form == "full", self.work / "weights"
        arguments = ["--data", str(self.data if full else self.few), "--out", str(out)]
        recipe = f"training.{self.name}"
        known = importlib.util.find_spec(recipe) is not None
        folders = (caches,) if known else ("--work", caches)
        arguments += [part for option in folders if option for part in (option, str(self.work))]
        command = importlib.import_module(recipe if known else f"models.{self.name}.train")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            command.main([*arguments, *(() if full else quick)])
        completion.complete(out)
        history = History.load(out)
        assert history is not None  # noqa: S101 - every training command writes it
        self.trained = Training(out, history, "\n".join(printed.getvalue().splitlines()[-3:]))
        return self.trained

    @property
    def weights(self) -> Path:
        """The weights that the story is about: those trained here in the full form, else the bundled ones, complete."""
        return self.trained.weights if self.form == "full" and self.trained else registry.complete(self.name)

    def history(self) -> tuple[str, History]:
        """The course of the training of those weights, or of the quick look where they have none; and which it is."""
        if kept := History.load(self.weights):
            return "training of these weights", kept
        assert self.trained is not None, "train first"  # noqa: S101 - for who reorders the cells
        return "the quick look above: these weights were trained before histories were kept", self.trained.history

    def answers(self) -> Answers:
        """The answers on the validation part, each taken the way of a request."""
        entry = Entry.read(f"{self.name}:study", self.weights)
        with contextlib.redirect_stderr(io.StringIO()):
            return answer(Predictor.open(self.spec, entry), self.clips("val"))

    def compare(self, answers: Answers) -> str:
        """As the function of that name, for this model."""
        return compare(self.name, answers, self.form)


def compare(name: str, answers: Answers, form: Form) -> str:
    """Holds the accuracy against that of README and card, and says both.

    Args:
        name: A model, or the ensemble.
        answers: On the validation part, or a few clips of it.
        form: Of the notebook.

    Raises:
        ValueError: It is another, though both are of the bundled weights on the whole validation part.
    """
    here = float((answers.decided == answers.labels).mean())
    written: float = json.loads(evaluate.RESULTS.read_text())[name]["accuracy"]
    if form == "bundled" and abs(here - written) > evaluate.tolerance(len(answers.labels)) + evaluate.ROUNDING:
        raise ValueError(f"accuracy {here:.3f}, but {written:.3f} in the card: make evaluate")
    return f"accuracy {here:.3f} on {len(answers.labels)} clips here, {written:.3f} in the card"
