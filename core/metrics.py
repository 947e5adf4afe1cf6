"""Prometheus metrics: every name that the bundle itself exports; ``python -m core.metrics`` prints them as a table.

Values of all processes of one server are added up through the directory that ``PROMETHEUS_MULTIPROC_DIR`` names, which
BentoML sets for its processes. Labels are bounded: a route is its template, never the path that was asked for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import REGISTRY

from core import metric_files

metric_files.install()

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ITEMS = (1, 2, 4, 8, 16, 32, 64)

REQUESTS = Counter("bundle_requests", "Requests; `status` 499: the caller left", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("bundle_request_seconds", "Time until the answer was sent", ["route"], buckets=SECONDS)
IN_PROGRESS = Gauge("bundle_requests_in_progress", "Requests under way", multiprocess_mode="livesum")
STREAMS = Counter(
    "bundle_streams",
    "Streams that are over: `ended` by the client's word, `left` without it, `stopped` by a rule, or `refused`",
    ["question", "outcome"],
)
STREAMS_OPEN = Gauge("bundle_streams_open", "Streams under way", multiprocess_mode="livesum")
STREAM_SOUND_SECONDS = Counter("bundle_stream_sound_seconds", "Sound that came in by streams", ["question"])
STREAM_ANSWERS = Counter(
    "bundle_stream_answers",
    "Windows of streams, with a `status` of 200 or of why there was no answer: 422, 429 ...",
    ["question", "status"],
)
ANSWERS = Counter("bundle_answers", "Answers given", ["model", "tag", "answer"])
DECODE_SECONDS = Histogram(
    "bundle_decode_seconds",
    "Time to read an upload: JSON, base64, audio, pictures; for the three models of AI voices together",
    ["model", "kind"],
    buckets=SECONDS,
)
DOWNLOAD_SECONDS = Histogram("bundle_download_seconds", "Time of a download", buckets=SECONDS)
CACHE = Counter("bundle_cache", "Look-ups of analysed URLs: `hit` or `miss`", ["result"])
INVALID = Counter(
    "bundle_store_invalid",
    "Values found in a store that the bundle cannot have written: results or failures in the `cache`, the latest heart "
    "result in Redis (`latest_redis`) or in `data.json` (`latest_file`)",
    ["store"],
)
QUEUE_DEPTH = Gauge("bundle_queue_depth", "Items waiting for a model", ["model"], multiprocess_mode="livesum")
QUEUE_SECONDS = Histogram("bundle_queue_seconds", "Time an item waited for its model", ["model"], buckets=SECONDS)
REFUSED = Counter("bundle_queue_refused", "Items refused because too much was waiting", ["model"])
DROPPED = Counter("bundle_queue_dropped", "Items dropped because their caller had gone", ["model"])
BATCH_ITEMS = Histogram("bundle_batch_items", "Items that an engine computes at once", ["model"], buckets=ITEMS)
BATCH_COST = Histogram(
    "bundle_batch_cost",
    "Padded cost computed at once: longest item (seconds of audio, or 1) times items",
    ["model"],
    buckets=(*ITEMS, 128),
)
PADDING = Counter("bundle_padding_cost", "The part of the padded cost that was padding", ["model"])
CALL_SECONDS = Histogram("bundle_call_seconds", "Time of a call to a runner and back", ["model"], buckets=SECONDS)
PREPARE_SECONDS = Histogram(
    "bundle_prepare_seconds", "Time to compute the features of an item, in the runner", ["model"], buckets=SECONDS
)
ENGINE_SECONDS = Histogram(
    "bundle_engine_seconds", "Time of the engine for a batch, in the runner", ["model"], buckets=SECONDS
)
QUALITY = Counter(
    "bundle_recording_quality",
    "Recordings that are `too_short`, `too_quiet` or `too_noisy`, or have `no_heart_beat`",
    ["model", "problem"],
)
BYTES_HELD = Gauge(
    "bundle_bytes_held", "Uploads, downloads, decoded sound and pixels in hand (bytes)", multiprocess_mode="livesum"
)
BYTES_REFUSED = Counter("bundle_bytes_refused", "Times that something was refused since too many bytes were in hand")
LOG_DROPPED = Counter("bundle_log_dropped", "Log lines that were dropped since too many waited to be written")
RUNNER_UP = Gauge(
    "bundle_runner_up",
    "Whether the runner answered when it was last called or probed: 1 or 0",
    ["model"],
    multiprocess_mode="livemostrecent",
)
RUNNER_RETRIES = Counter("bundle_runner_retries", "Calls to a runner that were sent again", ["model"])
MODEL = Gauge(
    "bundle_model_info", "1 for what a runner serves", ["model", "tag", "engine"], multiprocess_mode="livemax"
)
BUILD = Gauge("bundle_build_info", "1 for the version that is served", ["version"], multiprocess_mode="livemax")

STORES = ("cache", "latest_redis", "latest_file")
PROBLEMS = ("too_short", "too_quiet", "too_noisy", "no_heart_beat")
OF_A_QUEUE: tuple[Counter | Gauge | Histogram, ...] = (
    QUEUE_DEPTH,
    QUEUE_SECONDS,
    REFUSED,
    DROPPED,
    CALL_SECONDS,
    RUNNER_RETRIES,
)


def start_api(version: str) -> None:
    """Makes the series of the API process, so that what has not happened yet is 0 and not unknown."""
    BUILD.labels(version).set(1)
    for result in ("hit", "miss"):
        CACHE.labels(result)
    for store in STORES:
        INVALID.labels(store)
    for problem in PROBLEMS:
        QUALITY.labels("heart_sound", problem)


def start_queue(model: str) -> None:
    """Makes the series of a model's queue."""
    for metric in OF_A_QUEUE:
        metric.labels(model)


def observe_batch(model: str, costs: Sequence[float]) -> None:
    """Records a batch that goes to an engine.

    Args:
        model: Its name.
        costs: Cost of each item.
    """
    padded = max(costs) * len(costs)
    BATCH_ITEMS.labels(model).observe(len(costs))
    BATCH_COST.labels(model).observe(padded)
    PADDING.labels(model).inc(max(0.0, padded - sum(costs)))  # by rounding, equal costs can come out below 0


def exposition() -> bytes:
    """All metrics of this server, in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    _forget_the_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    try:
        return generate_latest(registry)
    except FileNotFoundError:  # another scrape has deleted a file that this one had just listed
        return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """Drops the gauges of processes that were killed, and files of theirs in which nothing was counted.

    What was waiting in such a process waits no longer. A process that cannot serve is started again and again: each
    scrape would read some files more.
    """
    for file in folder.glob("*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if Path("/proc", pid).exists():
            continue
        with contextlib.suppress(FileNotFoundError):  # another API process has just done it
            if file.stem.startswith("gauge_live"):
                mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]
            elif not file.stat().st_size or not _counts(file):  # an empty one would make each scrape fail
                file.unlink()


def _counts(file: Path) -> bool:
    return any(value for _, value, *_ in MmapedDict.read_all_values_from_file(str(file)))  # type: ignore[no-untyped-call]


def table() -> str:
    """The table of ``docs/observability.md``: name as Prometheus sees it, type, labels, meaning."""
    lines = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric in vars(sys.modules[__name__]).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - no public name gives them
            lines.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
