"""What ``results.json`` holds: each part as it was measured last, and the run, machine and day that it is of.

Processors that compute no bfloat16 have a file of their own: the large networks run in float32 there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openvino as ov

from benchmarks import machine
from benchmarks.workloads import WORKLOADS
from engine.compiled import computes_bf16

# In the order in which they are measured. What fails or is broken off leaves the other parts as they were.
OTHERS = ("limits", "stages", "batching", "length", "replicas", "full_size")
PARTS = (*WORKLOADS, *OTHERS)
OF_FULL_SIZE = {"full", "limits"}  # what needs the full-size weights

RESULTS, FLOAT32 = "results.json", "results-float32.json"

Results = dict[str, Any]
Run = dict[str, Any]


def file_name() -> str:
    """Of the file for what is measured on this processor."""
    return RESULTS if computes_bf16(ov.Core()) else FLOAT32


def empty(*, quick: bool) -> Results:
    """Nothing measured yet."""
    return {"quick": quick, "runs": [], "workloads": {}}


def load(path: Path) -> Results:
    """What was measured so far; nothing where there is no file."""
    if not path.exists():
        return empty(quick=False)
    found: Results = json.loads(path.read_text())
    return found


def begin() -> Run:
    """A run that begins now, here."""
    return {**machine.describe(), "minutes": 0.0, "parts": []}


def add(results: Results, part: str, value: Any, run: Run, minutes: float) -> None:
    """Puts what a part of a run has found in the place of what was there.

    Args:
        results: All parts.
        part: One of ``PARTS``.
        value: What was found.
        run: The run in which it was measured.
        minutes: Since the run began.
    """
    if part in WORKLOADS:
        results["workloads"][part] = value
    else:
        results[part] = value
    for other in results["runs"]:
        other["parts"] = [name for name in other["parts"] if name != part]
    run["parts"].append(part)
    run["minutes"] = round(minutes, 1)
    results["runs"] = [other for other in results["runs"] if other["parts"] and other is not run] + [run]


def missing(results: Results) -> list[str]:
    """The parts that were never measured."""
    return [part for part in PARTS if part not in results["workloads"] and part not in results]
