"""Parts of the benchmark by themselves: what is measured anew takes the place of what was, and nothing else is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import batch_cost, record, report, rounds, stages, sweeps, weights

HERE = Path(bench.__file__).parent
PAGES = ("README.md", "benchmarks/README.md")


def run(day: str, *parts: str) -> dict[str, Any]:
    return {
        "date": day, "processor": "P", "cores": 2, "memory_gib": 4, "python": "3", "versions": {}, "load": 0.0,
        "minutes": 1.0, "parts": list(parts),
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the benchmark writes into; what it measures takes no time."""
    made = tmp_path / "benchmarks"
    made.mkdir()
    for page in PAGES:
        shutil.copy(HERE.parent / page, tmp_path / page)
    monkeypatch.setattr(bench, "HERE", made)
    monkeypatch.setattr(record, "file_name", lambda: record.RESULTS)  # whatever this processor computes
    for name in (record.RESULTS, record.FLOAT32):
        shutil.copy(HERE / name, made / name)
    for name in ("build", "save"):
        monkeypatch.setattr(weights, name, lambda: None)
    monkeypatch.setattr(sweeps, "plot", lambda results, folder: None)
    monkeypatch.setattr(batch_cost, "measure", lambda: {"a way": 1.25})
    return made


def test_the_documents_show_what_was_measured_last(folder: Path) -> None:
    """``python -m benchmarks --write`` changes nothing."""
    report.write(folder)
    for page in PAGES:
        assert (folder.parent / page).read_text() == (HERE.parent / page).read_text(), page


def test_all_parts_have_been_measured_and_each_is_of_one_run() -> None:
    results = record.load(HERE / "results.json")
    assert record.missing(results) == []
    assert sorted(part for one in results["runs"] for part in one["parts"]) == sorted(record.PARTS)


def test_a_processor_without_bfloat16_has_results_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / record.RESULTS).read_bytes()
    monkeypatch.setattr(record, "file_name", lambda: record.FLOAT32)
    (folder / record.FLOAT32).unlink()
    assert bench.main(["--only", "batching"]) == 0
    assert (folder / record.RESULTS).read_bytes() == before
    assert record.load(folder / record.FLOAT32)["batching"] == {"a way": 1.25}
    assert "| a way |" not in (folder / "README.md").read_text()


def test_a_part_takes_the_place_of_what_was_measured_before() -> None:
    results = record.empty(quick=False)
    first, second = run("2001-01-01"), run("2002-02-02")
    for part in ("voices", "stages", "batching"):
        record.add(results, part, f"old {part}", first, 1.0)
    for part in ("voices", "stages"):
        record.add(results, part, f"new {part}", second, 2.0)
    assert results["workloads"] == {"voices": "new voices"}
    assert (results["stages"], results["batching"]) == ("new stages", "old batching")
    assert [(one["date"], one["parts"]) for one in results["runs"]] == [
        ("2001-01-01", ["batching"]),
        ("2002-02-02", ["voices", "stages"]),
    ]
    assert [line.partition(",")[0] for line in report.header(results).splitlines() if line] == [
        "batching: 2001-01-01",
        "voices",
    ]
    assert report.header(results, ["batching"]).startswith("2002-02-02, P")
    assert report.header(results, ["stages"]) == report.header(results)  # the run has another part
    record.add(results, "batching", "new batching", second, 3.0)
    assert [one["date"] for one in results["runs"]] == ["2002-02-02"]
    assert report.header(results).startswith("2002-02-02, P")


def test_one_part_is_measured_and_the_others_are_kept(folder: Path) -> None:
    before = {"quick": False, "runs": [run("2001-01-01", "stages")], "workloads": {}, "stages": []}
    (folder / "results.json").write_text(json.dumps(before))
    assert bench.main(["--only", "batching"]) == 0
    found = json.loads((folder / "results.json").read_text())
    assert (found["stages"], found["batching"]) == ([], {"a way": 1.25})
    assert [one["parts"] for one in found["runs"]] == [["stages"], ["batching"]]
    assert "| a way | 1.2 |" in (folder / "README.md").read_text()


def test_what_was_measured_before_a_run_was_broken_off_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / record.RESULTS).unlink()
    workload = {"title": "t", "contenders": {}, "cells": [], "bare": []}
    monkeypatch.setattr(rounds, "measure", lambda *_: workload)

    def broken(short: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "measure", broken)
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--only", "voices", "stages", "batching"])
    found = record.load(folder / "results.json")
    assert found["workloads"] == {"voices": workload}
    assert [one["parts"] for one in found["runs"]] == [["voices"]]
    assert set(record.missing(found)) == set(record.PARTS) - {"voices"}


def test_a_part_that_fails_stops_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / record.RESULTS).unlink()

    def failing(short: bool) -> None:
        raise OSError("no room")

    monkeypatch.setattr(stages, "measure", failing)
    assert bench.main(["--only", "stages", "batching"]) == 1
    assert [one["parts"] for one in record.load(folder / "results.json")["runs"]] == [["batching"]]


def test_a_selection_that_leaves_nothing_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The short form has no full-size model."""
    with pytest.raises(SystemExit):
        bench.main(["--quick", "--only", "full"])
    assert "voices, faces, limits, stages, batching" in capsys.readouterr().err
