"""What batches cost the engine on compact voice gender: ``python -m benchmarks.batch_cost``.

Processor time of a request with clips of mixed lengths that the engine has not met before, one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import clips
from benchmarks.bare_engine import open_engine
from benchmarks.workloads import VOICES
from core.settings import RunnerOptions
from models import registry
from models.processing import Features
from scheduling.policy import plan

WARM, MEASURED, AT_ONCE = 16, 64, 32
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
    bounds = RunnerOptions().bounds()
    return plan(lengths, bounds.cost, bounds.items, 0.2)


WAYS: dict[str, Callable[[Sequence[float]], Cuts]] = {
    "one clip at a time (the runner's way)": one_by_one,
    f"batches of {BATCH} in order of arrival": as_they_come,
    "batches by length": by_length,
}


def measure() -> dict[str, float]:
    """Milliseconds of processor time of a request, by way of batching."""
    processor = registry.processor(VOICES.model)
    speech = clips.speech()
    pieces = np.minimum(clips.lengths(WARM + MEASURED), WINDOW_S)
    features = [processor.prepare(speech[: round(piece * clips.RATE)]).features for piece in pieces]
    return {name: 1000 * _cost(way, features, pieces.tolist()) for name, way in WAYS.items()}


def _cost(way: Callable[[Sequence[float]], Cuts], features: list[Features], lengths: list[float]) -> float:
    processor, engine = registry.processor(VOICES.model), open_engine(VOICES)

    def answer(start: int, end: int) -> None:
        for cut in way(lengths[start:end]):
            engine.infer(processor.collate([features[start + place] for place in cut]))

    answer(0, WARM)
    started = time.process_time()
    for start in range(WARM, len(features), AT_ONCE):
        answer(start, min(start + AT_ONCE, len(features)))
    return (time.process_time() - started) / MEASURED


def table(found: dict[str, float]) -> str:
    """What was measured, in Markdown."""
    lines = ["| way | ms of processor time |", "| --- | ---: |"]
    lines += [f"| {name} | {value:.1f} |" for name, value in found.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(measure()), end="")
