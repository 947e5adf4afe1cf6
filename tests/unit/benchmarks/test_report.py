"""Every target of the plan has its line in the table, whether it is met or missed."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import report
from benchmarks.workloads import WORKLOADS


def measured(*, well: bool) -> dict[str, Any]:
    """One workload as ``rounds.measure`` gives it: two rounds in which the targets are met, or missed."""
    rates = {"bundle": 96.0, "fastapi": 20.0, "mosec": 38.0 if well else 97.0}
    cells: list[dict[str, Any]] = [
        {"contender": name, "round": number, "clients": clients, "rate": rate, "p50_s": 1 / rate, "p99_s": 2 / rate}
        for name, rate in rates.items()
        for number in range(2)
        for clients in (1, 2, 4, 8, 32)
    ]
    slow_s = (60 if well else 40) / 96
    cells += [{"contender": "process", "round": n, "clients": 1, "rate": 1 / slow_s, "p50_s": slow_s} for n in (0, 1)]
    bare = 100.0 if well else 150.0
    seen = {"ready_s": 5.0, "pss_bytes": 1.1e9} if well else {"ready_s": 7.0, "pss_bytes": 1.3e9}
    return {
        "contenders": dict.fromkeys(rates, seen),
        "cells": cells,
        "bare": 2 * [{"engine": bare, "work": 0.9 * bare}],
    }


def results(*, well: bool) -> dict[str, Any]:
    """What a full run finds, with all targets met, or all missed."""
    pair = {"engine": "openvino-f32", "ratios": [2.4, 2.6, 2.7] if well else [1.6, 1.7, 3.0]}
    return {
        "workloads": {name: measured(well=well) for name in WORKLOADS},
        "limits": {
            "whole": {"engine": "openvino-bf16", "share_of_peak": 0.8 if well else 0.7},
            "features_cpu_s": 0.2 if well else 0.4,
        },
        "full_size": {
            "against_torch": dict.fromkeys(("wav2vec2-large", "AST", "VGG16"), pair),
            "import_s": {"AST": 20.0}, "ready_s": 30.0, "memory_bytes": 3e9,
        },
    }  # fmt: skip


TARGETS = [  # of the plan: words of its line, and the target
    ("share of the matmul peak in bf16", ">= 75 %"),
    ("engine (openvino-f32) against torch f32 eager, wav2vec2-large", ">= 2.5x"),
    ("engine (openvino-f32) against torch f32 eager, AST", ">= 2x"),
    ("engine (openvino-f32) against torch f32 eager, VGG16", ">= 1.8x"),
    ("served / bare engine, full-size, 8 clients", ">= 95 %"),
    ("served / bare engine, compact voices, 32 clients", ">= 88 %"),
    ("against the best peer (mosec), full, 32 clients", ">= 2x, lower p99"),
    ("against the best peer (mosec), voices, 32 clients", ">= 2x, lower p99"),
    ("against the best peer (mosec), faces, 32 clients", ">= 2.5x, lower p99"),
    *(
        (f"latency over the best peer's (mosec), {name}, {count}", "p50, p99 <= 1x")
        for name in ("full", "voices", "faces")
        for count in ("1 client", "2 clients", "4 clients")
    ),
    ("latency of a process per request", ">= 50x"),
    ("start to ready", "<= 6 s"),
    ("memory of the process tree (PSS)", "<= 1.2 GB"),
    ("47 features of a 30 s clip", "<= 0.3 s"),
]


@pytest.mark.parametrize("well", [True, False])
def test_every_target_has_its_line_met_or_missed(well: bool) -> None:
    rows = report.target_rows(results(well=well))
    for words, target in TARGETS:
        (row,) = [row for row in rows if words in row[0] and row[3] is not None]
        assert row[1] == target, words
        assert row[3] is well, row
    assert sum(met is not None for *_, met in rows) == len(TARGETS)
    table = report.targets(results(well=well))
    assert table.count("| met |") == (len(TARGETS) if well else 0)
    assert table.count("**missed**") == (0 if well else len(TARGETS))


def test_the_curve_has_every_number_of_clients_beside_the_best_peer() -> None:
    lines = report.curve(measured(well=True)).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 1", "| 2", "| 4", "| 8", "| 32"]
    assert lines[2].endswith("| 2.53x, 0.40x, 0.40x |")
    assert {line.count("|") for line in lines} == {6}


def test_the_table_has_the_numbers_of_clients_that_everybody_is_asked_by() -> None:
    head = report.workload(measured(well=True)).splitlines()[0]
    assert "8 clients" in head
    assert "4 clients" not in head
