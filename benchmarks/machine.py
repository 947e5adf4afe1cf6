"""What the figures were measured on, and the machine's own limits."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import clips
from benchmarks.workloads import CORES, FULL, WHOLE

PACKAGES = ("bentoml", "openvino", "torch", "transformers", "fastapi", "litserve", "mosec", "ray", "numpy")
SIDE = 2048  # of the square matrices whose product is the machine's peak
PEAK_TIMES = 30
CLIP_S = 5.0  # whose share of the peak is measured
FEATURES_S = 30.0


def describe() -> dict[str, Any]:
    """Date, processor, memory and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": models[0] if models else platform.machine(),
        "cores": CORES,
        "memory_gib": round(memory),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "load": os.getloadavg()[0],
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def best_s(once: Callable[[], object], times: int) -> float:
    """Shortest time of several (seconds): others on the machine only ever make it longer."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        once()
        found.append(time.perf_counter() - started)
    return min(found)


def peak_flops() -> dict[str, float]:
    """Largest rate of a matrix product that torch reaches, on all cores (FLOP/s), by arithmetic that is native here."""
    import openvino as ov
    import torch

    from engine.compiled import computes_bf16

    torch.set_num_threads(CORES)
    kinds = {"f32": torch.float32}
    if computes_bf16(ov.Core()):  # elsewhere the engine does not use it, and torch takes minutes to imitate it
        kinds["bf16"] = torch.bfloat16
    found = {}
    for name, kind in kinds.items():
        one, other = (torch.randn(SIDE, SIDE, dtype=torch.float32).to(kind) for _ in range(2))
        found[name] = 2 * SIDE**3 / best_s(lambda one=one, other=other: one @ other, PEAK_TIMES)  # type: ignore[misc]
    return found


def whole_flops(seconds: float = CLIP_S) -> float:
    """Operations of full-size wav2vec2 on one clip, as torch counts them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from engine import native
    from models import registry

    model, samples = (
        native.load_network(registry.specs()[WHOLE.model], FULL),
        torch.zeros(1, round(seconds * clips.RATE)),
    )
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(samples)
    return float(counter.get_total_flops())


def achieved(peak: dict[str, float]) -> dict[str, Any]:
    """The engine on full-size wav2vec2, one clip, all cores: time and share of the peak of its arithmetic."""
    from benchmarks.bare_engine import open_engine, prepared

    engine = open_engine(WHOLE)
    samples = clips.speech()[: round(CLIP_S * clips.RATE)]
    (batch,) = prepared(WHOLE, [samples])
    engine.infer(batch)
    seconds, flops = best_s(lambda: engine.infer(batch), 6), whole_flops()
    kind = engine.description.rpartition("-")[2]
    return {
        "engine": engine.description, "seconds": seconds, "flops": flops, "share_of_peak": flops / seconds / peak[kind]
    }  # fmt: skip


def features_cpu_s() -> float:
    """Processor time of the 47 features of a clip of ``FEATURES_S``, without loading anything (seconds)."""
    from dsp.features import extract

    samples = np.resize(clips.speech(), round(FEATURES_S * clips.RATE))
    extract(samples)
    found = []
    for _ in range(3):
        started = time.process_time()
        extract(samples)
        found.append(time.process_time() - started)
    return min(found)


def limits(whole: bool) -> dict[str, Any]:
    """All of the above, in this process."""
    peak = peak_flops()
    found: dict[str, Any] = {"peak_flops": peak, "features_cpu_s": features_cpu_s()}
    return found | ({"whole": achieved(peak)} if whole else {})
