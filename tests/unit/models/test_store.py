"""The model store: what gets in, and what is served."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import bentoml
import pytest

from models import registry, store
from models import save as save_command
from models.calibration import Calibration
from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec("toy_model", "toy", "Toy", ("a", "b"), AudioInput(100, 1.0), "none", "none", "none")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights folder as an export leaves it."""
    folder = tmp_path / "toy" / "weights"
    (folder / "openvino").mkdir(parents=True)
    (folder / "openvino" / "model.xml").write_text("<net/>")
    Calibration(1.0, (0.0, 0.0)).save(folder)
    files = {path for path in folder.rglob("*") if path.is_file()}
    digests = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "export.json").write_text(json.dumps({"max_probability_difference": 0.001, "sha256": digests}))
    return folder


def test_an_entry_says_where_it_comes_from(weights: Path) -> None:
    model = bentoml.models.get(store.save(SPEC, weights, source="here"))
    assert model.info.labels == {"profile": "compact", "runner": "Toy"}
    assert model.info.metadata["classes"] == ["a", "b"]
    assert model.info.metadata["source"] == "here"
    entry = store.Entry.open(model)
    assert entry.compiled.read_text() == "<net/>"
    assert entry.tag == str(model.tag)


def test_the_same_files_are_the_same_entry(weights: Path) -> None:
    assert store.save(SPEC, weights) == store.save(SPEC, weights)


def test_what_was_saved_last_is_served_though_it_was_there_before(weights: Path, tmp_path: Path) -> None:
    """As when an older version is checked out again."""
    other = tmp_path / "other"
    shutil.copytree(weights, other)
    (other / "openvino" / "model.xml").write_text("<newer/>")
    record = json.loads((other / "export.json").read_text())
    record["sha256"]["openvino/model.xml"] = hashlib.sha256(b"<newer/>").hexdigest()
    (other / "export.json").write_text(json.dumps(record))
    older, newer = store.save(SPEC, weights), store.save(SPEC, other)
    assert str(bentoml.models.get(store.tag_to_serve(SPEC, "compact")).tag) == newer
    assert store.save(SPEC, weights) == older
    assert str(bentoml.models.get(store.tag_to_serve(SPEC, "compact")).tag) == older


@pytest.mark.parametrize("name", ["openvino/model.xml", "calibration.json", "export.json", "notes.txt", "files.json"])
@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_an_entry_that_is_not_as_it_was_saved_is_refused(weights: Path, name: str, damage: str) -> None:
    """Also in a file that the export knew nothing of."""
    (weights / "notes.txt").write_text("made when it was saved")
    model = bentoml.models.get(store.save(SPEC, weights))
    place = Path(model.path) / name
    assert store.Entry.open(model).tag == str(model.tag)
    whole = place.read_bytes()
    if damage == "added":
        place = place.with_name("checkpoint.json")
        place.write_text("{}")
    elif damage == "missing":
        place.unlink()
    else:
        place.write_bytes(b"\0" + whole[1:])
    with pytest.raises(store.WeightsError, match="save it again") as caught:
        store.Entry.open(model)
    assert "\n" not in str(caught.value)
    assert str(model.tag) in str(caught.value)
    again = bentoml.models.get(store.save(SPEC, weights))  # which mends it
    assert store.Entry.open(again).tag == str(model.tag)


@pytest.mark.parametrize("name", ["openvino/model.xml", "calibration.json"])
def test_a_changed_or_missing_file_is_refused(weights: Path, name: str) -> None:
    (weights / name).write_text("changed")
    with pytest.raises(store.WeightsError, match="is not the file"):
        store.save(SPEC, weights)
    (weights / name).unlink()
    with pytest.raises(store.WeightsError):
        store.save(SPEC, weights)


def test_forms_that_disagree_are_refused(weights: Path) -> None:
    record = json.loads((weights / "export.json").read_text())
    for difference in (0.011, float("nan")):
        (weights / "export.json").write_text(json.dumps(record | {"max_probability_difference": difference}))
        with pytest.raises(store.WeightsError, match="differ by"):
            store.save(SPEC, weights)


def test_bfloat16_is_trusted_where_it_was_measured(weights: Path) -> None:
    record = json.loads((weights / "export.json").read_text())
    assert not store.Entry.read("toy", weights).bf16_agrees
    for difference, agrees in ((0.002, True), (0.02, False)):
        (weights / "export.json").write_text(json.dumps(record | {"bf16_probability_difference": difference}))
        assert store.Entry.read("toy", weights).bf16_agrees == agrees
        assert bentoml.models.get(store.save(SPEC, weights)).info.metadata["max_probability_difference"] == 0.001


@pytest.mark.parametrize("record", ["", "{}", "[1]", '{"sha256": {}}x'])
def test_an_unreadable_record_is_refused(weights: Path, record: str) -> None:
    (weights / "export.json").write_text(record)
    with pytest.raises(store.WeightsError):
        store.save(SPEC, weights)


def test_a_profile_is_served_where_there_is_one(weights: Path) -> None:
    store.save(SPEC, weights)
    assert store.tag_to_serve(SPEC, "compact") == "toy_model:latest"
    assert store.tag_to_serve(SPEC, "published") == "toy_model:latest"
    store.save(SPEC, weights, "published")
    assert store.tag_to_serve(SPEC, "published") == "toy_model-published:latest"
    bentoml.models.delete(str(bentoml.models.get("toy_model-published:latest").tag))


def test_the_command_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "weights", lambda name: tmp_path / name / "weights")
    assert save_command.main(["voice_gender"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: voice_gender: weights are missing")
    assert "Traceback" not in error


def test_the_command_knows_its_names() -> None:
    with pytest.raises(SystemExit):
        save_command.main(["voice_gendre"])
