"""Weights lie in git once: what a store entry needs besides is put together from there, and is what was exported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from models import completion, registry, store
from models.values import IR_MODEL, IR_OFFSETS, IR_VALUES, filled
from training.offsets import write_offsets

FACE = "face_gender"


def test_a_folder_is_completed_once(tmp_path: Path) -> None:
    completion.complete(tmp_path)  # nothing that could be completed
    assert not list(tmp_path.iterdir())
    whole = registry.complete("voice_gender")
    assert registry.complete("voice_gender") == whole
    expected = "head.npz", "encoder.safetensors", "openvino/model.xml", "openvino/model.bin", "export.json"
    assert {path.relative_to(whole).as_posix() for path in whole.rglob("*.*")} >= set(expected)


def test_the_face_network_lies_in_git_once_and_is_made_as_it_was_exported() -> None:
    folder, whole = registry.weights(FACE), registry.complete(FACE)
    assert not (folder / IR_VALUES).exists()
    record = json.loads((folder / store.RECORD).read_text())
    assert store.file_digest(whole / IR_VALUES) == record[store.MADE][IR_VALUES.as_posix()]
    assert (whole / IR_MODEL).read_bytes() == (folder / IR_MODEL).read_bytes()


def test_a_file_that_is_made_otherwise_than_it_was_exported_is_not_saved(tmp_path: Path) -> None:
    folder = tmp_path / FACE / "weights"
    shutil.copytree(registry.weights(FACE), folder)
    offsets = json.loads((folder / IR_OFFSETS).read_text())
    offsets["halved"][0][1] += 4
    (folder / IR_OFFSETS).write_text(json.dumps(offsets))
    record = json.loads((folder / store.RECORD).read_text())
    record["sha256"][IR_OFFSETS.as_posix()] = store.file_digest(folder / IR_OFFSETS)
    (folder / store.RECORD).write_text(json.dumps(record))
    with pytest.raises(store.WeightsError, match=r"face_gender: openvino/model.bin is not the file that was exported"):
        store.save(registry.specs()[FACE], folder)


def graph(folder: Path, values: bytes) -> Path:
    """A graph with one constant of such values."""
    compiled = folder / "model.xml"
    layer = f'<layer type="Const"><data offset="0" size="{len(values)}"/></layer>'
    compiled.write_text(f"<net><layers>{layer}</layers></net>")
    compiled.with_suffix(".bin").write_bytes(values)
    return compiled


def test_small_constants_are_kept_where_the_native_file_lacks_them(tmp_path: Path) -> None:
    compiled = graph(tmp_path, b"\1\2\3\4")
    write_offsets(compiled, {})
    assert not compiled.with_suffix(".bin").exists()
    assert filled(compiled.with_suffix(".json"), b"") == b"\1\2\3\4"


def test_values_that_no_native_file_has_are_not_taken_out(tmp_path: Path) -> None:
    compiled = graph(tmp_path, bytes(100))
    with pytest.raises(ValueError, match="lacks 100 bytes"):
        write_offsets(compiled, {})
    assert compiled.with_suffix(".bin").exists()
