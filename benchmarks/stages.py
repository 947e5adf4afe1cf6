"""Where the milliseconds of one request go, from the bundle's own metrics: ``python -m benchmarks.stages``."""

from __future__ import annotations

import statistics
import sys
import urllib.request
from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.contenders import KINDS, Contender
from benchmarks.workloads import VOICES

CLIP_S = 5.0
TURNS = (1, 32)  # clients
SECONDS = 4.0
# Name of the histogram of each stage; those of a model have it as a label.
STAGES = {
    "request": "bundle_request_seconds", "decode": "bundle_decode_seconds", "queue": "bundle_queue_seconds",
    "call": "bundle_call_seconds", "prepare": "bundle_prepare_seconds", "engine": "bundle_engine_seconds",
    "batch": "bundle_batch_items",
}  # fmt: skip
SUMS = {"all (mean)": "latency_ms", "processor time, all processes": "cpu_ms", "items in a batch": "batch_items"}
Totals = dict[str, tuple[float, float]]


def totals(metrics: str) -> Totals:
    """Sum and count of each stage so far, of the model and the route of the workload."""
    wanted = {("model", VOICES.model), ("route", VOICES.route)}
    found: Totals = {}
    for family in text_string_to_metric_families(metrics):
        for stage in (stage for stage, name in STAGES.items() if name == family.name):
            samples = [s for s in family.samples if wanted & set(s.labels.items())]
            parts = [sum(s.value for s in samples if s.name.endswith(end)) for end in ("_sum", "_count")]
            found[stage] = (parts[0], parts[1])
    return found


def means(before: Totals, after: Totals) -> dict[str, float]:
    """Mean of each stage between two looks; of stages that happened."""
    found = {}
    for stage, (total, count) in after.items():
        old_total, old_count = before.get(stage, (0.0, 0.0))
        if count > old_count:
            found[stage] = (total - old_total) / (count - old_count)
    return found


def budget(mean: Mapping[str, float], latency_s: float) -> dict[str, float]:
    """Splits a mean latency (s) into what was measured and what lies between."""
    items, call = mean.get("batch", 1.0), mean["call"]
    parts = {
        "client, socket and HTTP parser": latency_s - mean["request"],
        "API: form, JSON, ids, logs, metrics, event loop": mean["request"] - mean["decode"] - mean["queue"] - call,
        "decoding in a thread": mean["decode"],
        "waiting for the model": mean["queue"],
        "hop: pickle, Unix socket, BentoML's batcher and servers": call - items * mean["prepare"] - mean["engine"],
        "pre-processing of the batch": items * mean["prepare"],
        "engine": mean["engine"],
    }
    return {name: 1000 * seconds for name, seconds in parts.items()}


def measure(short: bool = False) -> list[dict[str, Any]]:
    """Milliseconds of each stage of a request for one clip, by number of clients."""
    contender = Contender(KINDS["bundle"], VOICES)
    contender.start()
    try:
        contender.load(8, 1.0, bodies=str(CLIP_S))
        return [_turn(contender, clients, 1.0 if short else SECONDS) for clients in TURNS]
    finally:
        contender.end()


def _turn(contender: Contender, clients: int, seconds: float) -> dict[str, Any]:
    before = _look(contender)
    seen = contender.load(clients, seconds, bodies=str(CLIP_S))
    mean = means(before, _look(contender))
    latency = statistics.fmean(seen["latencies_s"])
    return {
        "clients": clients, "clip_s": CLIP_S, "latency_ms": 1000 * latency, "batch_items": mean.get("batch"),
        "cpu_ms": 1000 * seen["server_cpu_s"] / len(seen["latencies_s"]), "ms": budget(mean, latency),
    }  # fmt: skip


def _look(contender: Contender) -> Totals:
    url = contender.url.removesuffix(VOICES.route) + "/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return totals(answer.read().decode())


def table(found: list[dict[str, Any]]) -> str:
    """The stages side by side."""
    counts = " | ".join(f"{turn['clients']} client{'s' * (turn['clients'] > 1)}" for turn in found)
    lines = [
        f"| milliseconds of a request, clip of {found[0]['clip_s']:g} s | {counts} |",
        "| --- |" + " ---: |" * len(found),
    ]
    rows = {name: [turn["ms"][name] for turn in found] for name in found[0]["ms"]}
    rows |= {title: [turn[key] for turn in found] for title, key in SUMS.items()}
    lines += [f"| {name} | {' | '.join(format(value, '.1f') for value in row)} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(measure("--quick" in sys.argv)), end="")
