"""The arithmetic of the figures: what is sent, what is made of the answers, and where it is written."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import clips, gpu, machine, report, rounds, sizing, stages
from benchmarks.interleave import interleaved
from benchmarks.workloads import WORKLOADS, Turn, quick
from engine import compiled


def test_any_part_of_the_clips_is_as_mixed_as_the_whole() -> None:
    logarithms = np.log(clips.lengths(64))
    assert np.exp(logarithms.min()) >= clips.SHORTEST_S
    assert np.exp(logarithms.max()) <= clips.LONGEST_S
    for part in (logarithms[:8], logarithms[20:30], logarithms):
        assert part.mean() == pytest.approx(np.log(15) / 2, abs=0.25)


def test_a_form_holds_the_file() -> None:
    assert clips.form("audio", "a.wav", b"RIFF").count(b"RIFF") == 1
    assert clips.recording(1.0)[:4] == b"RIFF"


def test_the_benchmark_of_a_gpu_runs_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--device", "cpu", "--small", "--engine-only"])
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert [len(line) for line in lines] == [4] * 7  # a head of two, agreement, peak, two batches, and what is found
    assert lines[2][3] == "met |"
    assert all("clips/s" in line[2] for line in lines[4:6])
    assert lines[6][2].endswith("such clips")


def test_who_was_not_answered_counts_in_the_tail() -> None:
    seen = {
        "latencies_s": [0.1] * 98, "waiting_s": [30.0, 30.0], "seconds": 9.8, "errors": {}, "server_cpu_s": 1.0,
        "client_cpu_s": 0.1,
    }  # fmt: skip
    made = rounds.summary(seen)
    assert made["rate"] == pytest.approx(10.0)
    assert made["p50_s"] == 0.1
    assert made["p99_s"] == 30.0
    assert made["unanswered"] == 2


def test_ratios_are_made_within_a_round() -> None:
    rates = {("bundle", 0): 10.0, ("bundle", 1): 30.0, ("mosec", 0): 5.0, ("mosec", 1): 10.0, ("ray", 0): 7.0}
    cells: list[dict[str, Any]] = [
        {"contender": name, "round": number, "clients": 8, "rate": rate} for (name, number), rate in rates.items()
    ]
    assert rounds.ratios(cells, "bundle", "mosec", 8) == [2.0, 3.0]
    assert rounds.ratios(cells, "bundle", "ray", 8) == [pytest.approx(10 / 7)]
    assert rounds.ratios(cells, "bundle", "mosec", 32) == []
    assert report.best_peer({"cells": cells}, 8) == "mosec"
    assert rounds.spread([2.0, 3.0]) == "2.50 (2.00 to 3.00)"


def test_the_stages_of_a_request_sum_to_its_latency() -> None:
    mean = {
        "request": 0.09,
        "decode": 0.01,
        "queue": 0.02,
        "call": 0.05,
        "prepare": 0.001,
        "engine": 0.03,
        "batch": 4.0,
    }
    parts = stages.budget(mean, 0.1)
    assert sum(parts.values()) == pytest.approx(100.0)
    assert all(part >= 0 for part in parts.values())


def test_every_route_and_model_that_is_measured_exists() -> None:
    from models import registry

    for workload in [*WORKLOADS.values(), *quick()]:
        assert workload.model in registry.specs()
        assert [turn.clients for turn in workload.turns] == sorted(turn.clients for turn in workload.turns)


def test_blocks_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- figures: one -->\nold\n<!-- end -->\nb\n<!-- figures: two -->\nkept\n<!-- end -->\n")
    report.fill(page, {"one": "new \\1\n"})
    assert page.read_text() == (
        "a\n<!-- figures: one -->\nnew \\1\n<!-- end -->\nb\n<!-- figures: two -->\nkept\n<!-- end -->\n"
    )


def test_only_the_last_round_leaves_work_behind() -> None:
    turns = (Turn(1, 1.0, 2, 20.0), Turn(32, 1.0, 2, 60.0, last_drain_s=2.0))
    said: list[str] = []
    made = [(t.clients, n, t.drain_s) for t, n in rounds.planned_rounds(turns, lambda: True, said.append)]
    assert made == [(1, 0, 20.0), (1, 1, 20.0), (32, 0, 60.0), (32, 1, 2.0)]
    assert said == []
    late = [(t.clients, n, t.drain_s) for t, n in rounds.planned_rounds(turns, lambda: False, said.append)]
    assert late == [(1, 0, 20.0), (32, 0, 2.0)]
    assert len(said) == 2


def test_contenders_of_a_process_interleaved_and_the_first_round_does_not_count() -> None:
    called: list[str] = []
    ticks = itertools.count()
    runs = {name: lambda name=name: called.append(name) for name in "ab"}
    times = interleaved(runs, 2, lambda: float(next(ticks)))
    assert called == ["a", "b"] * 3
    assert times == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


@pytest.mark.parametrize("native", [True, False])
def test_the_peak_is_that_of_arithmetic_the_processor_has(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "computes_bf16", lambda core: native)
    monkeypatch.setattr(machine, "SIDE", 8)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    assert set(machine.peak_flops()) == ({"f32", "bf16"} if native else {"f32"})


def test_the_cost_of_a_question_is_shown_for_each_of_its_models() -> None:
    costs = {"/one": {sizing.API: 5.0, "first": 5.0}, "/two": {sizing.API: 10.0, "second": 30.0, "third": 10.0}}
    page = sizing.tables(costs, {sizing.API: 200 << 20})
    assert "| `/one` | 5.0 | 5.0 | 100 |" in page
    assert "| `/two` | 10.0 | 40.0 | 20 |" in page
    for line in ("| first | 5.0 | 200 |", "| second | 30.0 | 33 |", "| third | 10.0 | 100 |"):
        assert line in page
    assert f"| {sizing.API} | 200 |" in page
