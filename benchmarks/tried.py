"""What shapes and batches cost the engine on compact voice gender: ``python -m benchmarks.tried``.

Processor time of a request with clips of mixed lengths that the engine has not met before, one thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import clips
from benchmarks.floor import open_engine
from benchmarks.workloads import VOICES
from core.settings import RunnerOptions
from models import registry
from models.processing import Features
from runners.batches import plan

WARM, MEASURED, AT_ONCE = 16, 64, 32
STEPS_S = (0.0, 0.1, 0.5, 1.0)  # 0 is the clip's own length
WINDOW_S = 8.0
BATCH = 8
Cuts = list[list[int]]


def one_by_one(lengths: Sequence[float]) -> Cuts:
    """Each clip alone."""
    return [[place] for place in range(len(lengths))]


def as_they_come(lengths: Sequence[float]) -> Cuts:
    """Batches of eight in the order of arrival."""
    return [list(range(start, min(start + BATCH, len(lengths)))) for start in range(0, len(lengths), BATCH)]


def by_length(lengths: Sequence[float]) -> Cuts:
    """Batches of neighbours in length, with at most a fifth of padding."""
    options = RunnerOptions()
    return plan(lengths, options.batch_cost, options.batch_items, 0.2)


WAYS = {
    "one clip at a time (the runner's way)": one_by_one,
    f"batches of {BATCH} in order of arrival": as_they_come,
    "batches by length": by_length,
}


def measure() -> dict[str, list[float]]:
    """Milliseconds of processor time of a request, by way of batching and step of the length."""
    processor = registry.processor(VOICES.model)
    speech = clips.speech()
    pieces = np.minimum(clips.lengths(WARM + MEASURED), WINDOW_S)
    features = [processor.prepare(speech[: round(piece * clips.RATE)]).features for piece in pieces]
    return {name: [1000 * _cost(way, step, features) for step in STEPS_S] for name, way in WAYS.items()}


def _cost(way: Any, step_s: float, features: list[Features]) -> float:
    processor, engine = registry.processor(VOICES.model), open_engine(VOICES)

    def answer(part: list[Features]) -> None:
        for cut in way([len(clip) / clips.RATE for clip in part]):
            batch = [part[place] for place in cut]
            engine.infer(widened(processor.collate(batch), max(map(len, batch)), step_s))

    answer(features[:WARM])
    started = time.process_time()
    for start in range(WARM, len(features), AT_ONCE):
        answer(features[start : start + AT_ONCE])
    return (time.process_time() - started) / MEASURED


def widened(arrays: dict[str, NDArray[Any]], longest: int, step_s: float) -> dict[str, NDArray[Any]]:
    """The same batch at another width: the longest clip's own, or a multiple of a step; at least 1 s."""
    step = max(1, round(step_s * clips.RATE))
    width = max(clips.RATE, math.ceil(longest / step) * step)
    cut = {name: array[:, :width] for name, array in arrays.items()}
    return {
        name: np.ascontiguousarray(np.pad(array, ((0, 0), (0, width - array.shape[1])))) for name, array in cut.items()
    }


def table(found: dict[str, list[float]]) -> str:
    """The figures, one line for each way."""
    steps = " | ".join("exact lengths" if step == 0 else f"steps of {step:g} s" for step in STEPS_S)
    lines = [f"| processor time of a request, engine only (ms) | {steps} |", "| --- |" + " ---: |" * len(STEPS_S)]
    lines += [f"| {name} | {' | '.join(format(value, '.1f') for value in row)} |" for name, row in found.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(measure()), end="")
