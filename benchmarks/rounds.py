"""Contenders are interleaved: all are started, and those that are not measured are frozen."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.contenders import KINDS, Contender, Failed
from benchmarks.workloads import ROOT, Turn, Workload

WARM_CLIENTS, WARM_S, WARM_PATIENCE_S = 2, 2.0, 60.0
BARE_S = 1.5
BARE_LIMIT_S = 300.0  # of the full-size network with one core: 15 passes of 4 clips and a start

Say = Callable[[str], None]


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which a part of all lies (nearest rank)."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def summary(seen: dict[str, Any]) -> dict[str, Any]:
    """One turn in numbers: requests/s, latencies (s), errors, and processor time of a request (s).

    Who had no answer at the end counts with the time waited so far, so that a slow server's p99 is not flattered.
    """
    good, all_of_them = seen["latencies_s"], seen["latencies_s"] + seen["waiting_s"]
    count = len(good)
    return {
        "requests": count,
        "rate": count / seen["seconds"] if count else 0.0,
        "p50_s": percentile(all_of_them, 0.50) if all_of_them else None,
        "p99_s": percentile(all_of_them, 0.99) if all_of_them else None,
        "errors": seen["errors"],
        "unanswered": len(seen["waiting_s"]),
        "server_cpu_s": seen["server_cpu_s"] / count if count else None,
        "client_cpu_s": seen["client_cpu_s"] / count if count else None,
    }


@contextlib.contextmanager
def started(workload: Workload, found: dict[str, Any], say: Say) -> Iterator[list[Contender]]:
    """Starts, warms and freezes all contenders; who fails is reported and left out."""
    running: list[Contender] = []
    try:
        for name in workload.contenders:
            contender = Contender(KINDS[name], workload)
            try:
                contender.start()
                running.append(contender)
                if name != "process":  # every request of it begins anew: there is nothing to warm
                    contender.load(WARM_CLIENTS, WARM_S, WARM_PATIENCE_S)
            except Failed as error:
                found[name] = {"failed": str(error)[-1500:]}
                say(f"  {name}: FAILED {str(error)[-300:]}")
                continue
            found[name] = {"ready_s": contender.ready_s, "pss_bytes": contender.tree.pss_bytes()}
            say(f"  {name}: ready after {contender.ready_s:.1f} s, {found[name]['pss_bytes'] / 1e6:.0f} MB")
            contender.freeze()
        yield [contender for contender in running if "failed" not in found[contender.kind.name]]
    finally:
        for contender in running:
            contender.end()


def measure(workload: Workload, say: Say, in_time: Callable[[], bool]) -> dict[str, Any]:
    """Lets all contenders of a workload take their turns.

    Args:
        workload: The workload.
        say: Takes a line of progress.
        in_time: Whether there is time for another round; the first of each turn is made in any case.
    """
    contenders: dict[str, Any] = {}
    cells: list[dict[str, Any]] = []
    bare: list[dict[str, Any]] = []
    with started(workload, contenders, say) as running:
        for turn, number in planned_rounds(workload.turns, in_time, say):
            bare += [bare_once(workload, say)] if turn.bare else []
            # None is always the first.
            order = running[number % len(running) :] + running[: number % len(running)] if running else []
            cells += [_turn(contender, turn, number, say) for contender in order if _takes_part(contender, turn)]
        for contender in running:
            contenders[contender.kind.name]["pss_bytes"] = contender.tree.pss_bytes()
    return {"title": workload.title, "contenders": contenders, "cells": cells, "bare": bare}


def planned_rounds(turns: Sequence[Turn], in_time: Callable[[], bool], say: Say) -> Iterator[tuple[Turn, int]]:
    """Each round of each turn; before a round it is decided whether another follows, as that one must leave no work."""
    for turn in turns:
        for number in range(turn.rounds):
            last = number + 1 == turn.rounds or not in_time()
            hurry_s = turn.last_drain_s if last else None
            yield (turn if hurry_s is None else replace(turn, drain_s=hurry_s)), number
            if last and number + 1 < turn.rounds:
                say("  out of time: the remaining rounds are left out")
            if last:
                break


def _takes_part(contender: Contender, turn: Turn) -> bool:
    named = not turn.among or contender.kind.name in turn.among
    return named and turn.clients <= contender.kind.most_clients


def _turn(contender: Contender, turn: Turn, number: int, say: Say) -> dict[str, Any]:
    name = contender.kind.name
    cell: dict[str, Any] = {"contender": name, "clients": turn.clients, "round": number}
    drain_s = max(turn.drain_s, 60.0) if name == "process" else turn.drain_s
    contender.thaw()
    try:
        cell |= summary(contender.load(turn.clients, turn.seconds, drain_s))
    except Failed as error:
        cell |= {"failed": str(error), "rate": 0.0, "requests": 0}
    finally:
        contender.freeze()
    p99 = "-" if cell.get("p99_s") is None else f"{1000 * cell['p99_s']:.0f} ms"
    errors = cell.get("errors") or ""
    say(f"  {turn.clients} clients, round {number + 1}, {name}: {cell['rate']:.2f}/s, p99 {p99} {errors}")
    return cell


def bare_once(workload: Workload, say: Say) -> dict[str, Any]:
    """The engine in a loop, without a server, in the same minute as the contenders."""
    command = [sys.executable, "-m", "benchmarks.bare_engine", workload.name, str(BARE_S)]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=BARE_LIMIT_S)
    except subprocess.TimeoutExpired:
        say(f"  bare engine: FAILED, it took more than {BARE_LIMIT_S:.0f} s")
        return {}
    if found.returncode:
        say(f"  bare engine: FAILED {found.stderr[-300:]}")
        return {}
    seen: dict[str, Any] = json.loads(found.stdout)
    say("  bare: " + ", ".join(f"{key} {value:.2f}" for key, value in seen.items()))
    return seen


def ratios(cells: Sequence[dict[str, Any]], name: str, other: str, clients: int, value: str = "rate") -> list[float]:
    """Round by round, how many times one contender's figure is another's."""
    by_round = {(cell["contender"], cell["round"]): cell.get(value) for cell in cells if cell["clients"] == clients}
    pairs = [(mine, by_round.get((other, number))) for (who, number), mine in by_round.items() if who == name]
    return [mine / theirs for mine, theirs in pairs if mine and theirs]


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Median, and least to most where there are several."""
    if not values:
        return "-"
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def wall_clock(minutes: float) -> Callable[[], bool]:
    """Whether less than so many minutes have passed since now."""
    end = time.monotonic() + 60 * minutes
    return lambda: time.monotonic() < end
