"""The engine in a bare loop, in one process: ``python -m benchmarks.bare_engine WORKLOAD SECONDS``.

Prints requests/s of the engine alone on what the runner would hand it, and of decoding, pre-processing and engine
together; both with as many streams and threads as the runner has.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import clips
from benchmarks.peers.native import opened, read
from benchmarks.workloads import WORKLOADS, Workload
from core.settings import RunnerOptions, Settings
from engine.compiled import PADDING, CompiledEngine
from engine.select import build_engine
from models.spec import cost
from scheduling.policy import plan

Arrays = dict[str, NDArray[Any]]


def main(arguments: list[str]) -> None:
    """Measures one workload."""
    workload, seconds = WORKLOADS[arguments[0]], float(arguments[1])
    files = [
        body.file for body in (clips.voices(workload.bare_requests) if workload.bodies == "voices" else clips.faces())
    ]
    items = [read(opened(workload)[0].input, file) for file in files]
    batches = prepared(workload, [item for upload in items for item in upload])
    engine = open_engine(workload)
    with ThreadPoolExecutor(engine.streams) as streams:
        found = {
            "engine": len(files) / loop(lambda: list(streams.map(engine.infer, batches)), seconds),
            "work": len(files) / loop(lambda: list(streams.map(partial(_work, workload, engine), files)), seconds),
        }
    print(json.dumps(found))


def open_engine(workload: Workload) -> CompiledEngine:
    """The workload's network, with as many streams and threads as its runner has."""
    spec, entry, _ = opened(workload)
    settings = Settings.model_validate({"engine": "compiled", **{name.lower(): v for name, v in workload.settings}})
    engine = build_engine(spec, entry, settings)
    assert isinstance(engine, CompiledEngine)
    return engine


def prepared(workload: Workload, items: list[NDArray[Any]]) -> list[Arrays]:
    """The engine's inputs, cut into batches as a runner does."""
    (spec, _, processor), bounds = opened(workload), RunnerOptions().bounds()
    features = [processor.prepare(item).features for item in items]
    cuts = plan([cost(spec, item) for item in items], bounds.cost, bounds.items, PADDING)
    return [processor.collate([features[place] for place in cut]) for cut in cuts]


def loop(once: Callable[[], object], seconds: float) -> float:
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


def _work(workload: Workload, engine: CompiledEngine, file: bytes) -> None:
    spec, _, processor = opened(workload)
    features = [processor.prepare(item).features for item in read(spec.input, file)]
    engine.infer(processor.collate(features))


if __name__ == "__main__":
    main(sys.argv[1:])
