"""Which engine runs a network fastest on this processor, and how well they agree: ``python -m benchmarks.engines``.

Needs ``requirements.txt`` and ``benchmarks/requirements-engines.txt``. Networks of full size have random weights. All
engines of a network are interleaved on the same clip. Each has one thread, and what is measured is processor time: that
is what a request costs, and it stays the same when the machine has other things to do. A figure is the median, and a
ratio the median of the ratios within a turn.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import openvino as ov
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks import interleave, machine
from benchmarks.interleave import Arrays
from engine import native
from engine.compiled import CompiledEngine, computes_bf16
from engine.native import NativeEngine
from models import registry
from models.processing import Processor
from models.published.checkpoint import Checkpoint
from models.spec import ModelSpec
from models.store import Entry
from training.published import layout
from training.published.compiling import save_compiled
from training.published.importing import FaceOptions, Source, describe_checkpoint

RESULTS = Path(__file__).parent / "engines.json"
TABLE = Path(__file__).parent / "engines.md"
FULL_SIZE = ("face_gender", "audio_scene", "voice_gender")
FACES = FaceOptions(("female", "male"), "imagenet-bgr")
ENGINES = ("openvino", "torch", "onnxruntime")
THREADS = 1
BASE = "torch f32"

Run = Callable[[Arrays], NDArray[np.float32]]


def engines(spec: ModelSpec, entry: Entry, example: Arrays, work: Path) -> dict[str, Run]:
    """Every engine of one network, ready to run."""
    path, onnx = entry.compiled, work / "model.onnx"
    ready = {
        BASE: NativeEngine(spec, entry, threads=THREADS).infer,
        "OpenVINO f32": CompiledEngine(path, threads=THREADS, precision="f32").infer,
        "OpenVINO f32, this shape only": static(path, example),
    }
    module = native.load_network(spec, entry.path)
    if isinstance(module.network, native.KerasNetwork):  # TensorFlow is the base, and torch can export nothing of it
        return ready
    export_onnx(module, example, onnx)
    int8 = work / "int8.onnx"
    # Convolutions in int8 are slow on processors without AMX, so matrix products alone are quantised.
    quantize_dynamic(onnx, int8, op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8)
    ready |= {"ONNX Runtime f32": onnx_runtime(onnx), "ONNX Runtime int8": onnx_runtime(int8)}
    if computes_bf16(ov.Core()):  # elsewhere OpenVINO computes in float32 when it is asked for bfloat16
        ready["torch bf16"] = NativeEngine(spec, entry, threads=THREADS, precision="bf16").infer
        ready["OpenVINO bf16"] = CompiledEngine(path, threads=THREADS, precision="bf16").infer
    return ready


def export_onnx(module: torch.nn.Module, example: Arrays, path: Path) -> None:
    """Writes the network in ONNX, for batches of any size and clips of any length."""
    axes = {name: {axis: f"{name}_{axis}" for axis in range(min(2, value.ndim))} for name, value in example.items()}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer's remarks on shapes
        torch.onnx.export(
            module, tuple(torch.from_numpy(value) for value in example.values()), path, dynamo=False,
            input_names=list(example), output_names=["logits"], dynamic_axes=axes, opset_version=17,
        )  # fmt: skip


def onnx_runtime(path: Path) -> Run:
    """ONNX Runtime on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(session.run(None, dict(batch))[0])


def static(path: Path, example: Arrays) -> Run:
    """OpenVINO with the shapes of one batch fixed when the network is compiled."""
    core = ov.Core()
    model = core.read_model(path)
    model.reshape({name: list(value.shape) for name, value in example.items()})
    hints = {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    return lambda batch: np.array(request.infer(dict(batch), share_inputs=True)[0])


def compare(spec: ModelSpec, entry: Entry, processor: Processor, rounds: int) -> dict[str, Any]:
    """Times and differences of all engines on one network."""
    batches = interleave.batches(spec, processor, 2)
    with tempfile.TemporaryDirectory(prefix="engines-") as name:
        ready = engines(spec, entry, batches[0], Path(name))
        runs = {title: lambda run=run: run(batches[0]) for title, run in ready.items()}
        times = interleave.interleaved(runs, rounds, time.process_time)
        ready.pop("OpenVINO f32, this shape only")
        probabilities = entry.calibration.probabilities
        answers = {title: [probabilities(run(batch)) for batch in batches] for title, run in ready.items()}
    exact = answers[BASE]
    return {
        title: {
            "ms": 1000 * statistics.median(seconds),
            "speed": statistics.median(a / b for a, b in zip(times[BASE], seconds, strict=True)),
            "difference": max((float(np.abs(a - b).max()) for a, b in zip(exact, answers[title], strict=True)))
            if title in answers
            else None,
        }
        for title, seconds in times.items()
    }


def full_size(name: str, folder: Path) -> tuple[ModelSpec, Entry, Processor]:
    """A network of the published size with random weights, imported as a published checkpoint is."""
    weights = folder / "weights"
    weights.mkdir()
    written = layout.write(name, folder / "checkpoint")
    source = Source(written if written.is_dir() else written.parent, "random weights")
    files, checkpoint = describe_checkpoint(registry.specs()[name], source, FACES)
    for file in files:
        (weights / file.name).symlink_to(file)
    save_compiled(registry.specs()[name], weights, checkpoint)
    return _described(registry.specs()[name], weights, checkpoint)


def _described(spec: ModelSpec, weights: Path, checkpoint: Checkpoint) -> tuple[ModelSpec, Entry, Processor]:
    return checkpoint.describe(spec), Entry.read(f"{spec.name}:random", weights), checkpoint.processor()


def measure(rounds: int, name: str) -> dict[str, Any]:
    """One network: of full size (``full:`` and its model's name), or compact."""
    model = name.removeprefix("full:")
    if model == name:
        spec, entry = registry.specs()[name], Entry.read(f"{name}:bundled", registry.complete(name))
        results = compare(spec, entry, registry.processor(name), 10 * rounds)
        return {"title": f"compact {spec.title}", "rounds": 10 * rounds, "engines": results}
    with tempfile.TemporaryDirectory(prefix="full-size-") as folder:
        spec, entry, processor = full_size(model, Path(folder))
        results = compare(spec, entry, processor, rounds)
    return {"title": spec.architecture, "rounds": rounds, "engines": results}


def write(found: Mapping[str, Any]) -> None:
    """Adds networks to ``engines.json``, and writes the table in ``engines.md`` from it."""
    known = (json.loads(RESULTS.read_text()) if RESULTS.exists() else {}) | dict(found)
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    head, marker, rest = TABLE.read_text().partition("<!-- table -->\n")
    _, end, after = rest.partition("<!-- end -->")
    TABLE.write_text(f"{head}{marker}{table(dict(sorted(known.items())))}{end}{after}")


def table(results: Mapping[str, Any]) -> str:
    """One line for each engine of each network."""
    lines = [
        "| network | engine | processor ms | times torch f32 | largest difference of a probability |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for found in results.values():
        for title, row in sorted(found["engines"].items(), key=lambda pair: float(pair[1]["speed"])):
            difference = "" if row["difference"] is None else f"{row['difference']:.1e}"
            lines.append(f"| {found['title']} | {title} | {row['ms']:.1f} | {row['speed']:.2f} | {difference} |")
    return "\n".join(lines) + "\n\n" + places(results)


def places(results: Mapping[str, Any]) -> str:
    """When and on what each network was measured, one line for each place."""
    titles: dict[str, list[str]] = {}
    for found in results.values():
        titles.setdefault(f"{found['date']}, {found['machine']}", []).append(found["title"])
    return "".join(f"- {place}: {'; '.join(names)}.\n" for place, names in titles.items())


def place() -> dict[str, str]:
    """Date, machine and versions."""
    here = machine.describe()
    bf16 = "with" if computes_bf16(ov.Core()) else "without"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ENGINES)
    return {
        "date": here["date"],
        "machine": f"{here['processor']} {bf16} native bfloat16, {here['cores']} cores, {versions}",
    }


def main() -> None:
    """Measures, and writes ``engines.json`` and the table in ``engines.md``."""
    every = [*registry.specs(), *(f"full:{name}" for name in FULL_SIZE)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("names", nargs="*", choices=[*every, []], help="networks; all when none is given")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of the quantiser, that the network was not prepared for it
    for name in options.names or every:
        found = {name: measure(options.rounds, name) | place()}
        print(table(found), flush=True)
        write(found)


if __name__ == "__main__":
    main()
