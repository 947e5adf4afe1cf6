"""Full-size wav2vec2 on a GPU, engine and whole service, in at most eight minutes: ``python -m benchmarks.gpu``.

Weights are random numbers in bfloat16. The engine's rate is set beside the largest rate of a matrix product that torch
reaches on the same device; the service beside FastAPI with the ``transformers`` pipeline on it.
``--device cpu --small`` runs the same on a network of a few thousand weights, so that it cannot rot; its figures say
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import bentoml
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import clips
from benchmarks.contenders import KINDS, Contender, Failed
from benchmarks.rounds import summary
from benchmarks.workloads import STORE, WHOLE
from engine.native import REDUCED, NativeEngine
from models import registry, store
from models.calibration import Calibration
from models.store import Entry
from scheduling.batch_size import find
from training.examples import items
from training.export import digests
from training.published import layout
from training.published.importing import Source, describe_checkpoint

MINUTES = 8.0
CLIP_S = 5.0
BATCHES = (1, 16, 64)
CLIENTS = (1, 8, 32, 64)
ENGINE_S, SERVED_S = 3.0, 12.0
SIDE = {"cuda": 8192, "cpu": 512}  # of the matrices whose product is the peak
SHARES = {16: 0.22, 64: 0.26}  # of the peak, to be reached by the engine
SERVED_SHARE, TIMES_PEER = 0.70, 5.0  # of the engine at 64; of the peer's requests/s
DIFFERENCE = 0.01  # of a probability, against the CPU in float32


@dataclass(slots=True)
class Table:
    """Lines of what was measured, printed as they come."""

    started: float = field(default_factory=time.monotonic)

    def add(self, what: str, target: str, measured: str, met: bool | None = None) -> None:
        """Prints one line."""
        verdict = "" if met is None else "met" if met else "**missed**"
        print(f"| {what} | {target} | {measured} | {verdict} |", flush=True)

    def in_time(self, seconds: float) -> bool:
        """Whether there is time for something of so many seconds."""
        return time.monotonic() - self.started + seconds < 60 * MINUTES


def write(folder: Path, *, small: bool) -> Path:
    """A checkpoint with random weights, as an import leaves it but for the compiled form."""
    written = layout.write(WHOLE.model, folder, small=small)
    spec = registry.specs()[WHOLE.model]
    _, checkpoint = describe_checkpoint(spec, Source(written, "random weights"))
    Calibration.identity(len(spec.classes)).save(written)
    checkpoint.save(written)
    return written


def record(folder: Path, difference: float) -> None:
    """Says what a folder holds and how far the device's answers are from the CPU's, so that it can be saved."""
    known = {store.DIFFERENCE: difference, store.BF16_DIFFERENCE: difference, "sha256": digests(folder)}
    (folder / store.RECORD).write_text(json.dumps(known))


def engine_of(folder: Path, device: str, precision: str) -> NativeEngine:
    """The network in a folder on a device."""
    spec = registry.specs()[WHOLE.model]
    entry = Entry(f"{spec.name}:random", folder, Calibration.load(folder), bf16_agrees=True)
    return NativeEngine(spec, entry, device=device, precision=precision)


def wait(device: str) -> None:
    """Until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak(device: str) -> float:
    """Largest rate of a matrix product in bfloat16 (FLOP/s)."""
    side, best = SIDE[device], float("inf")
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(30):
        wait(device)
        started = time.perf_counter()
        one @ other
        wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def flops(engine: NativeEngine, samples: int, device: str) -> float:
    """Operations of one clip, as torch counts them."""
    clip = torch.zeros(1, samples, device=device, dtype=REDUCED["bf16"])
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        engine.network(clip)
    return float(counter.get_total_flops())


def noise(batch: int, samples: int) -> dict[str, NDArray[np.float32]]:
    """Clips of random numbers, float32 [batch, samples]."""
    return {"input_values": np.random.default_rng(0).standard_normal((batch, samples)).astype(np.float32)}


def once(engine: NativeEngine, inputs: dict[str, NDArray[np.float32]]) -> float:
    """Time of one batch, copies to and from the device included (seconds)."""
    started = time.perf_counter()
    engine.infer(inputs)
    return time.perf_counter() - started


def rate(engine: NativeEngine, batch: int, samples: int, seconds: float) -> float:
    """Clips a second in batches of one size, copies to and from the device included."""
    inputs = noise(batch, samples)
    engine.warm_up(inputs)
    started, done = time.perf_counter(), 0
    while done < 2 or time.perf_counter() - started < seconds:
        engine.infer(inputs)
        done += 1
    return batch * done / (time.perf_counter() - started)


def differs(folder: Path, device: str) -> float:
    """Largest difference of a probability on real clips: bfloat16 on the device, float32 on the CPU."""
    spec = registry.specs()[WHOLE.model]
    _, checkpoint = describe_checkpoint(spec, Source(folder, "random weights"))
    processor = checkpoint.processor()
    batch = processor.collate([processor.prepare(item).features for item in items(spec)[:4]])
    probabilities = Calibration.load(folder).probabilities
    ours, exact = (
        probabilities(engine_of(folder, *which).infer(batch)) for which in ((device, "bf16"), ("cpu", "f32"))
    )
    return float(np.abs(ours - exact).max())


def measure_engine(folder: Path, device: str, batches: Sequence[int], seconds: float, table: Table) -> float:
    """The engine alone; its clips a second in the largest batches."""
    engine, samples = engine_of(folder, device, "bf16"), round(CLIP_S * clips.RATE)
    largest, each = peak(device), flops(engine, samples, device)
    table.add(f"matrix product in bf16 on {torch.cuda.get_device_name() if device == 'cuda' else 'the CPU'}", "",
              f"{largest / 1e12:.3g} TFLOP/s")  # fmt: skip
    found = 0.0
    for batch in batches:
        found = rate(engine, batch, samples, seconds)
        share = found * each / largest
        wanted = SHARES.get(batch)
        table.add(f"engine, {CLIP_S:g} s clips in batches of {batch}: share of it", f">= {wanted}" if wanted else "",
                  f"{found:.0f} clips/s, {share:.3f}", None if wanted is None else share >= wanted)  # fmt: skip
    bounds = find(lambda items: once(engine, noise(items, samples)), CLIP_S)
    table.add("batch that the runner finds for the device", "", f"{bounds.cost / CLIP_S:.0f} such clips")
    return found


def served(kind: str, folder: Path, device: str, seconds: float, table: Table) -> dict[int, dict[str, float]]:
    """A server's requests/s and latencies by number of clients; empty where it does not start."""
    settings = {"ENGINE": "native", "DEVICE": device, "PRECISION": "bf16"}
    settings |= {"RUNNERS": "", "BENCH_DEVICE": device, "BENCH_FULL": str(folder)}
    contender, found = Contender(KINDS[kind], replace(WHOLE, weights=folder), settings), {}
    try:
        contender.start()
    except Failed as error:
        table.add(f"{contender.kind.title}", "", f"failed: {str(error)[-200:]}")
        return {}
    try:
        contender.load(8, min(5.0, seconds), 30.0, bodies=str(CLIP_S))
        for clients in CLIENTS if seconds >= 1 else CLIENTS[:1]:
            if table.in_time(2 * seconds):
                seen = found[clients] = summary(contender.load(clients, seconds, bodies=str(CLIP_S)))
                p50 = f"{1000 * (seen['p50_s'] or 0):.0f} ms"
                table.add(f"{contender.kind.title}, {clients} clients", "", f"{seen['rate']:.1f} req/s, p50 {p50}")
    finally:
        contender.end()
    return found


def compare(engine: float, ours: dict[int, dict[str, float]], peer: dict[int, dict[str, float]], table: Table) -> None:
    """The service beside the bare engine and the peer."""
    most = CLIENTS[-1]
    if most in ours:
        share = ours[most]["rate"] / engine
        table.add(f"served / engine, {most} clients", f">= {SERVED_SHARE:.0%}", f"{share:.0%}", share >= SERVED_SHARE)
    if most in ours and most in peer:
        times = ours[most]["rate"] / peer[most]["rate"]
        table.add(
            f"requests/s against FastAPI, {most} clients", f">= {TIMES_PEER:g}x", f"{times:.1f}x", times >= TIMES_PEER
        )
    if 1 in ours and 1 in peer:
        ratio = ours[1]["p50_s"] / peer[1]["p50_s"]
        table.add("p50 against FastAPI, 1 client", "<= 1x", f"{ratio:.2f}x", ratio <= 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="a network of a few thousand weights, for a moment each")
    parser.add_argument("--engine-only", action="store_true", help="no servers")
    options = parser.parse_args(arguments)
    table = Table()
    print("| what | target | measured | |\n| --- | --- | ---: | --- |")
    with tempfile.TemporaryDirectory(prefix="gpu-") as name:
        folder = write(Path(name) / "weights", small=options.small)
        difference = differs(folder, options.device)
        table.add(
            "probabilities against the CPU's in f32", f"<= {DIFFERENCE}", f"{difference:.4f}", difference <= DIFFERENCE
        )
        seconds = 0.1 if options.small else ENGINE_S
        engine = measure_engine(folder, options.device, BATCHES[: 2 if options.small else 3], seconds, table)
        if options.engine_only:
            return
        record(folder, min(difference, DIFFERENCE))
        tag = save(folder)
        seconds = 0.5 if options.small else SERVED_S
        ours = served("bundle", folder, options.device, seconds, table)
        compare(engine, ours, served("fastapi", folder, options.device, seconds, table), table)
        bentoml.models.delete(tag)


def save(folder: Path) -> str:
    """Puts the network and all bundled models into the benchmarks' store; gives the network's tag."""
    STORE.mkdir(parents=True, exist_ok=True)
    os.environ["BENTOML_HOME"] = str(STORE)
    for name, spec in registry.specs().items():
        store.save(spec, registry.weights(name))
    return store.save(registry.specs()[WHOLE.model], folder, "published", origin="random numbers")


if __name__ == "__main__":
    main()
