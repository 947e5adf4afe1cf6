"""Contenders in one process, timed one after the other in every round, on one clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from models.processing import Processor
from models.spec import AudioInput, ModelSpec
from training import examples

SECONDS = 5.0  # of the clip, as far as the network's window reaches

Arrays = Mapping[str, NDArray[Any]]


def batches(spec: ModelSpec, processor: Processor, count: int) -> list[Arrays]:
    """So many real clips of ``SECONDS`` or real pictures, each alone, collated as they are while serving."""
    prepared = (processor.prepare(_cut(spec, item)) for item in examples.items(spec))
    clips = [item for item in prepared if not item.verdict]
    return [processor.collate([clip.features]) for clip in clips[:count]]


def _cut(spec: ModelSpec, item: NDArray[Any]) -> NDArray[Any]:
    return item[: round(SECONDS * spec.input.sample_rate)] if isinstance(spec.input, AudioInput) else item


def interleaved(
    runs: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Times of every contender (seconds), one of each in every round, after one round that does not count.

    Args:
        runs: What is timed, by name.
        rounds: How often.
        clock: ``time.process_time`` for what it costs, ``time.perf_counter`` for how long it takes.
    """
    times: dict[str, list[float]] = {title: [] for title in runs}
    for counted in range(rounds + 1):
        for title, run in runs.items():
            started = clock()
            run()
            if counted:
                times[title].append(clock() - started)
    return times
