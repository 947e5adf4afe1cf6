"""Cost against length and against replicas, and the plots of both."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contenders import KINDS, Contender, Failed
from benchmarks.rounds import summary
from benchmarks.workloads import VOICES

LENGTHS_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
LENGTH_KINDS = ("bundle", "fastapi")
REPLICAS = ((1, 1), (2, 1), (2, 2), (4, 2))  # workers of the runner, workers of the API
TURN_S = 1.5
REPLICA_CLIENTS, REPLICA_S = 32, 4.0

Say = Callable[[str], None]


def lengths(say: Say) -> dict[str, Any]:
    """Median latency (s) of one client, by length of the clip and contender."""
    found: dict[str, Any] = {}
    for name in LENGTH_KINDS:
        contender = Contender(KINDS[name], VOICES)
        try:
            contender.start()
        except Failed as error:
            say(f"  {name}: FAILED {str(error)[-300:]}")
            continue
        try:
            found[name] = [_latency(contender, seconds) for seconds in LENGTHS_S]
        finally:
            contender.end()
        pairs = zip(LENGTHS_S, found[name], strict=True)
        say(f"  {name}: " + ", ".join(f"{seconds:g} s {1000 * latency:.1f} ms" for seconds, latency in pairs))
    return {"lengths_s": LENGTHS_S, "latency_s": found}


def _latency(contender: Contender, seconds: float) -> float:
    contender.load(1, 0.5, bodies=str(seconds))  # the engine plans for a length when it first meets it
    latencies: list[float] = contender.load(1, TURN_S, bodies=str(seconds))["latencies_s"]
    return statistics.median(latencies)


def replicas(say: Say) -> list[dict[str, Any]]:
    """Requests/s and memory of the bundle, by number of processes."""
    found = []
    for runners, api in REPLICAS:
        extra = {
            "RUNNERS": json.dumps({VOICES.model: {"workers": runners, "threads": 1, "streams": 1}}),
            "API_WORKERS": str(api),
        }
        contender = Contender(KINDS["bundle"], VOICES, extra)
        try:
            contender.start()
        except Failed as error:
            say(f"  {runners} runners, {api} API: FAILED {str(error)[-300:]}")
            continue
        try:
            contender.load(8, 1.5)
            seen = summary(contender.load(REPLICA_CLIENTS, REPLICA_S))
            found.append({"runners": runners, "api": api, "pss_bytes": contender.tree.pss_bytes(), **seen})
        finally:
            contender.end()
        say(f"  {runners} runners, {api} API: {seen['rate']:.1f}/s")
    return found


def plot(results: dict[str, Any], folder: Path) -> None:
    """Writes ``length.png`` and ``replicas.png``, of what was measured."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    if length := results.get("length"):
        figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
        for name, latencies in length["latency_s"].items():
            axes.plot(length["lengths_s"], [1000 * value for value in latencies], "o-", label=KINDS[name].title)
        axes.set(
            xlabel="clip (s)", ylabel="median latency (ms)", title="One client, compact voice gender", ylim=(0, None)
        )
        axes.legend()
        figure.savefig(folder / "length.png", dpi=120)
    if bars := results.get("replicas"):
        figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
        axes.bar([f"{bar['runners']} runner, {bar['api']} API" for bar in bars], [bar["rate"] for bar in bars])
        (run,) = (run for run in results["runs"] if "replicas" in run["parts"])
        title = f"{REPLICA_CLIENTS} clients, compact voice gender, {run['cores']} cores"
        axes.set(ylabel="requests/s", title=title)
        figure.savefig(folder / "replicas.png", dpi=120)
