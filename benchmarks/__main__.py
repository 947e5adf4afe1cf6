"""Measures everything and writes the figures where they are shown: ``make bench``, or ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import batch_cost, full_size, machine, report, rounds, stages, sweeps, weights
from benchmarks.workloads import WORKLOADS, quick

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
MINUTES = 50.0  # what a full run may take; later rounds are left out rather than taking longer
LAST_MINUTES = 17.0  # of it for the last turn of the large model, and for what comes after all turns


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 1 if something is missing that should not be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short form that writes no figures")
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS), help="of the workloads")
    parser.add_argument("--write", action="store_true", help="only write the documents, from results.json as it is")
    options = parser.parse_args(arguments)
    if options.write:
        report.write(json.loads(RESULTS.read_text()), HERE)
        return 0
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {line}", flush=True)

    results = measure(options.quick, options.only, say)
    results["minutes"] = round((time.monotonic() - started) / 60, 1)
    print(report.tables(results))
    if not options.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        sweeps.plot(results, HERE)
        report.write(results, HERE)
    return int(not complete(results))


def complete(results: dict[str, Any]) -> bool:
    """Whether every part was measured and the bundle answered; in the short form, whether all took part."""
    parts = all(value is not None for value in results.values())
    bundle = all(report.measured(results, name) for name in results["workloads"])
    contenders = [contender for found in results["workloads"].values() for contender in found["contenders"].values()]
    return parts and bundle and (not results["quick"] or not any("failed" in contender for contender in contenders))


def measure(short: bool, only: Sequence[str], say: rounds.Say) -> dict[str, Any]:
    """Everything, in order; what fails is said and left out."""
    in_time = rounds.wall_clock(MINUTES - LAST_MINUTES)
    results: dict[str, Any] = {"machine": machine.describe(), "quick": short, "workloads": {}}
    say("weights")
    if not short and "full" in only:
        weights.build()
    weights.save()
    for workload in (w for w in (quick() if short else WORKLOADS.values()) if w.name in only):
        say(workload.title)
        results["workloads"][workload.name] = rounds.measure(workload, say, in_time)
        if not short:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")  # whatever happens later, this is measured
    parts: dict[str, Callable[[], Any]] = {
        "limits": lambda: machine.limits(not short and "full" in only),
        "stages": lambda: stages.measure(short),
        "tried": batch_cost.measure,
    }
    if not short:
        parts |= {"length": lambda: sweeps.lengths(say), "replicas": lambda: sweeps.replicas(say)}
    if not short and "full" in only:
        parts["full_size"] = lambda: full_size.measure(say)
    return results | {name: attempt(name, part, say) for name, part in parts.items()}


def attempt(name: str, part: Callable[[], Any], say: rounds.Say) -> Any:
    """What a part measures; None if it fails, which is said: the others are worth having."""
    say(name)
    try:
        return part()
    except Exception:
        say(f"  FAILED\n{traceback.format_exc()}")
        return None


if __name__ == "__main__":
    raise SystemExit(main())
