"""The floor: the engine in a bare loop, in one process: ``python -m benchmarks.floor WORKLOAD SECONDS``.

Prints requests/s of the engine alone on what the runner would hand it, with the runner's threads and with all cores,
and of decoding, pre-processing and engine together, one request after the other.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import clips
from benchmarks.peers.native import read
from benchmarks.workloads import CORES, WORKLOADS, Workload
from core.settings import RunnerOptions
from engine.compiled import CompiledEngine
from engine.threads import default_threads
from models import registry
from models.store import Entry
from models.windows import cost
from runners.batches import plan

Arrays = dict[str, NDArray[Any]]


def main(arguments: list[str]) -> None:
    """Measures one workload."""
    workload, seconds = WORKLOADS[arguments[0]], float(arguments[1])
    files = [
        body.file for body in (clips.voices(workload.bare_requests) if workload.bodies == "voices" else clips.faces())
    ]
    items = [read(workload.model, file) for file in files]
    batches = prepared(workload, [item for upload in items for item in upload])
    own = json.loads(dict(workload.settings).get("RUNNERS", "{}")).get(workload.model, {}).get("threads", 0)
    threads = own or default_threads()
    engine = open_engine(workload, threads)
    found = {"engine": rate(engine, batches, len(files), seconds)}
    found["work"] = len(files) / loop(lambda: _work(workload, engine, files), seconds)
    wide = engine if threads == CORES else open_engine(workload, CORES)
    found["engine_all_cores"] = found["engine"] if wide is engine else rate(wide, batches, len(files), seconds)
    print(json.dumps(found))


def open_engine(workload: Workload, threads: int) -> CompiledEngine:
    """The workload's network."""
    entry = Entry.read(workload.model, workload.weights)
    return CompiledEngine(entry.compiled, threads=threads, bf16_agrees=entry.bf16_agrees)


def prepared(workload: Workload, items: list[NDArray[Any]]) -> list[Arrays]:
    """The engine's inputs, cut into batches as a runner does."""
    spec, options = registry.specs()[workload.model], RunnerOptions()
    processor = registry.processor(workload.model)
    features = [processor.prepare(item).features for item in items]
    cuts = plan([cost(spec, item) for item in items], options.batch_cost, options.batch_items)
    return [processor.collate([features[place] for place in cut]) for cut in cuts]


def rate(engine: CompiledEngine, batches: list[Arrays], requests: int, seconds: float) -> float:
    """Requests/s of the engine alone."""

    def once() -> None:
        for batch in batches:
            engine.infer(batch)

    return requests / loop(once, seconds)


def loop(once: Callable[[], None], seconds: float) -> float:
    """Median time of one pass (seconds), over so long and at least two passes; the first is for warming."""
    once()
    times: list[float] = []
    for number in itertools.count():
        if number >= 2 and sum(times) >= seconds:
            return float(np.median(times))
        started = time.perf_counter()
        once()
        times.append(time.perf_counter() - started)
    raise AssertionError("counting never ends")


def _work(workload: Workload, engine: CompiledEngine, files: list[bytes]) -> None:
    processor = registry.processor(workload.model)
    for file in files:
        features = [processor.prepare(item).features for item in read(workload.model, file)]
        engine.infer(processor.collate(features))


if __name__ == "__main__":
    main(sys.argv[1:])
