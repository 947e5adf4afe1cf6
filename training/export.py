"""The compiled form of a network: OpenVINO's intermediate representation, checked against the native network.

Needs the training requirements; serving only reads what this wrote.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray

from engine.compiled import CompiledEngine, computes_bf16
from models.calibration import Calibration
from models.store import BF16_DIFFERENCE, DIFFERENCE, MAX_DIFFERENCE, RECORD, file_digest
from models.values import IR_MODEL

Arrays = Mapping[str, NDArray[Any]]
Shapes = Mapping[str, list[int]]  # of each input by name; -1 for an axis of any length
READABLE = 0o644  # transformers and safetensors write files that only their owner may read


def save_torch(
    module: torch.nn.Module, weights: Path, shapes: Shapes, batches: Sequence[Arrays], *, half: bool = True
) -> float:
    """Converts a torch module and writes its compiled form and record, unless the two disagree.

    Args:
        module: In evaluation mode; as ``logits`` takes it.
        weights: The model's weights folder; it holds ``calibration.json`` and the native files.
        shapes: Of the inputs.
        batches: Real clips or pictures, collated as they are while serving; the first is traced.
        half: Keep the weights in 16 bits.

    Returns:
        The largest difference of a calibrated probability.

    Raises:
        ValueError: The difference is above ``MAX_DIFFERENCE``; nothing is kept.
    """
    example = {name: torch.from_numpy(np.asarray(array)) for name, array in batches[0].items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's remarks on shapes that are fixed on purpose
        model = convert(module, example, shapes)
    return save(model, weights, lambda batch: logits(module, batch), batches, half=half)


@torch.inference_mode()
def logits(module: torch.nn.Module, batch: Arrays) -> NDArray[np.float32]:
    """What a module gives, float32 [batch, classes].

    Args:
        module: Takes the inputs as keyword arguments; returns logits or, like those of transformers, what has them.
        batch: The inputs by name.
    """
    answer = module(**{name: torch.from_numpy(np.asarray(array)) for name, array in batch.items()})
    values: torch.Tensor = getattr(answer, "logits", answer)
    return np.asarray(values.numpy(), np.float32)


def convert(module: torch.nn.Module, example: Mapping[str, torch.Tensor], shapes: Shapes) -> ov.Model:
    """Traces a torch module into an OpenVINO model with one output named ``logits``.

    Args:
        module: In evaluation mode; takes the inputs as keyword arguments and returns logits [batch, classes].
        example: One batch, by input name, in the order of the module's parameters.
        shapes: Of the inputs.
    """
    with torch.inference_mode():
        inputs = [(name, ov.PartialShape(shapes[name])) for name in example]
        model = ov.convert_model(module, example_input=dict(example), input=inputs)
    for port, name in zip(model.inputs, example, strict=True):
        port.get_tensor().set_names({name})
    model.outputs[0].get_tensor().set_names({"logits"})
    return model


def save(
    model: ov.Model,
    weights: Path,
    native: Callable[[Arrays], NDArray[np.float32]],
    batches: Sequence[Arrays],
    *,
    half: bool = True,
) -> float:
    """Writes the compiled form and its record, unless it disagrees with the native network.

    Args:
        model: The converted network.
        weights: The model's weights folder; it holds ``calibration.json`` and the native files.
        native: Computes logits with the native network.
        batches: Real clips or pictures, collated as they are while serving.
        half: Keep the weights in 16 bits.

    Returns:
        The largest difference of a calibrated probability.

    Raises:
        ValueError: The difference is above ``MAX_DIFFERENCE``; nothing is kept.
    """
    path = weights / IR_MODEL
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, path, compress_to_fp16=half)
    expected = [native(batch) for batch in batches]
    differences = {DIFFERENCE: difference(path, "f32", batches, expected)}
    if not differences[DIFFERENCE] <= MAX_DIFFERENCE:  # so that nan is refused too
        shutil.rmtree(path.parent)
        raise ValueError(
            f"compiled and native probabilities differ by {differences[DIFFERENCE]:.4f}, more than {MAX_DIFFERENCE}"
        )
    if computes_bf16(ov.Core()):
        differences[BF16_DIFFERENCE] = difference(path, "bf16", batches, expected)
    for file in weight_files(weights):
        file.chmod(READABLE)
    record = {
        **differences,
        "checked_batches": len(batches),
        "openvino": ov.__version__,
        "sha256": digests(weights),
    }
    (weights / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    return differences[DIFFERENCE]


def difference(
    model: Path, precision: str, batches: Sequence[Arrays], expected: Sequence[NDArray[np.float32]]
) -> float:
    """Largest difference of a calibrated probability, compiled against native.

    Args:
        model: The ``model.xml`` in a weights folder.
        precision: Arithmetic of the compiled form, ``f32`` or ``bf16``.
        batches: Inputs by name.
        expected: The native logits of each batch.
    """
    engine = CompiledEngine(model, precision=precision)
    probabilities = Calibration.load(model.parent.parent).probabilities
    return max(
        float(np.abs(probabilities(logits) - probabilities(engine.infer(batch))).max())
        for batch, logits in zip(batches, expected, strict=True)
    )


def weight_files(weights: Path) -> list[Path]:
    """All files of a weights folder but the record itself, sorted."""
    return sorted(p for p in weights.rglob("*") if p.is_file() and p.name != RECORD)


def digests(weights: Path) -> dict[str, str]:
    """SHA-256 of each of ``weight_files``, by its path in the folder."""
    return {path.relative_to(weights).as_posix(): file_digest(path) for path in weight_files(weights)}
