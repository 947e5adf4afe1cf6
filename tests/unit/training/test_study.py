"""What the notebooks are made of, without running them: `make notebooks` does that."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from models import registry
from training import evaluate
from training.data.datasets import DATASETS_DIR, Clip, read_manifest
from training.data.excerpt import excerpt
from training.evaluation.answers import Answers
from training.study import plots, run
from training.study.study import Study, compare

NOTEBOOKS = sorted(run.FOLDER.glob("*.ipynb"))
OF_NO_MODEL = "face_vgg16"  # trains a network of its own, and imports it
OF_MODELS = [path for path in NOTEBOOKS if path.stem != OF_NO_MODEL]


def test_every_model_has_a_notebook() -> None:
    assert {path.stem for path in NOTEBOOKS} == {*registry.specs(), "voice_deepfake", OF_NO_MODEL}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_with_its_outputs_and_without_traces_of_a_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "make notebooks-write runs them all"
    assert sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs) >= 2
    texts = [str(o.get("text", "")) + str(o.get("data", {}).get("text/plain", "")) for c in code for o in c.outputs]
    assert not any(re.search(r"(?<![\w.])/(?:home|root|tmp|work|usr)/|Warning", text) for text in texts)
    assert not any(o.get("name") == "stderr" or o.output_type == "error" for c in code for o in c.outputs)
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize("path", OF_MODELS, ids=lambda path: path.stem)
def test_a_notebook_tells_the_accuracy_of_the_card(path: Path) -> None:
    """In its report, and where it is held against the card."""
    measured, said = json.loads(evaluate.RESULTS.read_text())[path.stem], path.read_text()
    accuracy = f"{measured['accuracy']:.3f}"
    assert re.findall(r"Accuracy (\d\.\d+)\.", said) == [accuracy], "make notebooks-write"
    compared = f"accuracy {accuracy} on {measured['clips']} clips here, {accuracy} in the card"
    assert compared in said


def answers(right: int, wrong: int) -> Answers:
    labels, decided = np.zeros(right + wrong, np.int64), np.repeat([0, 1], [right, wrong])
    rows, clips = np.eye(2)[decided], [Clip(Path("x"), "", "", {})] * len(labels)
    return Answers(("HUMAN", "AI_GENERATED"), clips, labels, rows, rows, decided, np.zeros(len(labels), bool))


def test_an_accuracy_that_is_not_that_of_the_card_stops_the_notebook() -> None:
    measured = json.loads(evaluate.RESULTS.read_text())["voice_deepfake"]
    right = round(measured["accuracy"] * measured["clips"])
    for moved in (0, 2):
        same = answers(right - moved, measured["clips"] - right + moved)
        assert "in the card" in compare("voice_deepfake", same, "bundled")
    other = answers(right - 3, measured["clips"] - right + 3)
    assert "in the card" in compare("voice_deepfake", other, "short")
    with pytest.raises(ValueError, match="make evaluate"):
        compare("voice_deepfake", other, "bundled")


def test_the_forms_of_a_notebook_keep_their_files_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATASETS_DIR, str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    folders = set()
    for form in ("full", "bundled", "short"):
        monkeypatch.setenv("FORM", form)
        folders.add(Study("heart_sound", tmp_path / "work").work)
    assert len(folders) == 3


def test_cleaning_leaves_the_story() -> None:
    cell = nbformat.v4.new_code_cell("1", metadata={"execution": {"started": "now"}})
    cell.outputs = [nbformat.v4.new_output("stream", name=name, text=name) for name in ("stdout", "stderr")]
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}, "path": "x"}
    )
    cleaned = run.clean(notebook)
    assert [output.name for output in cleaned.cells[0].outputs] == ["stdout"]
    assert cleaned.cells[0].metadata == {}
    assert set(cleaned.metadata) == {"kernelspec", "language_info"}


@pytest.mark.parametrize(("form", "limit_s"), [("short", 600.0), ("bundled", 3 * 3600.0)])
def test_a_cell_of_the_short_form_may_not_take_hours(
    form: str, limit_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    class Client:
        def __init__(self, notebook: object, *, timeout: float, **options: object) -> None:
            limits.append(timeout)

        def execute(self) -> None:
            """Runs nothing."""

    monkeypatch.setattr(run, "NotebookClient", Client)
    monkeypatch.setenv("FORM", form)
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "empty.ipynb")
    run.run(tmp_path / "empty.ipynb", write=False)
    assert limits == [limit_s]


def test_an_excerpt_has_a_few_of_each_class_in_each_split(tmp_path: Path) -> None:
    data = tmp_path / "all" / "set"
    data.mkdir(parents=True)
    rows = [
        f"{label}{place}.flac,{label},p{place},{split}"
        for split in ("train", "val")
        for label in "ab"
        for place in range(9)
    ]
    (data / "manifest.csv").write_text("\n".join(["file,label,group_id,split", *rows]) + "\n")
    few = excerpt(data.parent, tmp_path / "few", 3)
    clips = read_manifest(few / "set", "train")
    assert [clip.path.name for clip in clips] == ["a0.flac", "a3.flac", "a6.flac", "b0.flac", "b3.flac", "b6.flac"]
    assert all(clip.path.parent == data.resolve() for clip in clips)
    with (few / "set" / "manifest.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12


def test_rates_meet_their_ends() -> None:
    alarms, misses = plots.rates(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
    assert alarms.tolist() == [0, 0, 1, 1]
    assert misses.tolist() == [1, 0.5, 0.5, 0]
