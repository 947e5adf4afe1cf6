"""Measures everything and writes the figures where they are shown: ``make bench``, or ``python -m benchmarks``.

Some parts alone: ``make bench ONLY="voices stages"``. Each part is kept in ``results.json`` as soon as it is measured,
or in ``results-float32.json`` where the processor computes no bfloat16. A run that was broken off goes on with ``ONLY``
and the parts that it had not reached.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import batch_cost, full_size, machine, record, report, rounds, stages, sweeps, weights
from benchmarks.workloads import WORKLOADS, Workload, quick

HERE = Path(__file__).parent
MINUTES = 50.0  # what a full run may take; later rounds are left out rather than taking longer
LAST_MINUTES = 17.0  # of it for the last turn of the large model, and for what comes after all turns
QUICK = ("voices", "faces", "limits", "stages", "batching")  # parts of the short form

Keep = Callable[[str, Any], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 1 if something is missing that should not be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short form that writes no figures")
    parser.add_argument("--only", nargs="+", choices=record.PARTS, default=record.PARTS, help="parts to measure")
    parser.add_argument("--write", action="store_true", help="only write the documents, from the results as they are")
    options = parser.parse_args(arguments)
    if options.write:
        report.write(HERE)
        return 0
    wanted = [part for part in record.PARTS if part in options.only and (part in QUICK or not options.quick)]
    if not wanted:
        parser.error(f"the short form has of the parts only {', '.join(QUICK)}")
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {line}", flush=True)

    file = HERE / record.file_name()
    results = record.empty(quick=True) if options.quick else record.load(file)
    run = record.begin()

    def keep(part: str, value: Any) -> None:
        record.add(results, part, value, run, (time.monotonic() - started) / 60)
        if not options.quick:  # whatever happens later, this is measured
            file.write_text(json.dumps(results, indent=1) + "\n")

    failed = measure(wanted, say, keep, short=options.quick)
    print(report.tables(results))
    if not options.quick:
        if file.name == record.RESULTS:
            sweeps.plot(results, HERE)
        report.write(HERE)
        say(f"failed: {' '.join(failed) or 'none'}; never measured: {' '.join(record.missing(results)) or 'none'}")
    return int(bool(failed) or not complete(results, wanted))


def complete(results: record.Results, parts: Sequence[str]) -> bool:
    """Whether the bundle answered in all workloads; in the short form, whether all contenders took part."""
    found = {name: value for name, value in results["workloads"].items() if name in parts}
    contenders = [contender for value in found.values() for contender in value["contenders"].values()]
    bundle = all(report.measured(results, name) for name in found)
    return bundle and (not results["quick"] or not any("failed" in contender for contender in contenders))


def measure(parts: Sequence[str], say: rounds.Say, keep: Keep, *, short: bool) -> list[str]:
    """Measures parts in order; what fails is said and left out.

    Args:
        parts: Of ``record.PARTS``.
        say: Takes a line of progress.
        keep: Takes what a part has found.
        short: The short form.

    Returns:
        The parts that failed.
    """
    in_time = rounds.wall_clock(MINUTES - LAST_MINUTES)
    say("weights")
    if not short and record.OF_FULL_SIZE & set(parts):
        weights.build()
    weights.save()
    workloads = {workload.name: workload for workload in quick()} if short else WORKLOADS
    return [part for part in parts if not attempt(part, _how(part, workloads, say, in_time, short=short), say, keep)]


def _how(
    part: str, workloads: dict[str, Workload], say: rounds.Say, in_time: Callable[[], bool], *, short: bool
) -> Callable[[], Any]:
    """How a part is measured."""
    if part in workloads:
        return lambda: rounds.measure(workloads[part], say, in_time)
    ways: dict[str, Callable[[], Any]] = {
        "limits": lambda: machine.limits(not short),
        "stages": lambda: stages.measure(short),
        "batching": batch_cost.measure,
        "length": lambda: sweeps.lengths(say),
        "replicas": lambda: sweeps.replicas(say),
        "full_size": lambda: full_size.measure(say),
    }
    return ways[part]


def attempt(name: str, part: Callable[[], Any], say: rounds.Say, keep: Keep) -> bool:
    """Measures a part, and keeps what it finds; False if it fails, which is said: the others are worth having."""
    say(WORKLOADS[name].title if name in WORKLOADS else name)
    try:
        keep(name, part())
    except Exception:
        say(f"  FAILED\n{traceback.format_exc()}")
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
