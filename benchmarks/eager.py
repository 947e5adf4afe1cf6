"""The engine as it serves an entry, beside torch on the same weights.

Both have all cores and are interleaved on one clip of 5 s, or one picture. torch computes in float32, operation by
operation (eager); the engine in what ``PRECISION=auto`` takes on this processor.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks import interleave
from benchmarks.workloads import CORES
from engine.compiled import CompiledEngine
from engine.native import NativeEngine
from models import registry
from models.published.checkpoint import Checkpoint
from models.store import Entry

ROUNDS = 4


def measure(name: str, folder: Path) -> dict[str, Any]:
    """One imported checkpoint.

    Args:
        name: The model whose place it takes.
        folder: Its entry in the model store.

    Returns:
        The engine with its arithmetic, medians of both (s), and the ratio of their times in each round.

    Raises:
        ValueError: The folder holds no imported checkpoint.
    """
    checkpoint = Checkpoint.load(folder)
    if checkpoint is None:
        raise ValueError(f"{folder} holds no imported checkpoint")
    entry, spec = Entry.read(name, folder), checkpoint.describe(registry.specs()[name])
    (batch,) = interleave.batches(spec, checkpoint.processor(), 1)
    native = NativeEngine(spec, entry, threads=CORES, precision="f32")
    engine = CompiledEngine(entry.compiled, threads=CORES, bf16_agrees=entry.bf16_agrees)
    runs = {"torch": lambda: native.infer(batch), "engine": lambda: engine.infer(batch)}
    times = interleave.interleaved(runs, ROUNDS, time.perf_counter)
    return {
        "engine": engine.description,
        "torch_s": statistics.median(times["torch"]),
        "engine_s": statistics.median(times["engine"]),
        "ratios": [slow / fast for slow, fast in zip(times["torch"], times["engine"], strict=True)],
    }
