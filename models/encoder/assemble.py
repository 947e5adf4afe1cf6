"""Joins the shared encoder and a model's head to the compiled form that a store entry holds; needs no torch.

The encoder lies once in the source tree. Each store entry gets the whole network, so that it serves by itself.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.encoder import COMPILED, COMPILED_OFFSETS, HEAD, LEVELS, NATIVE, WEIGHTS
from models.values import IR_MODEL, filled


def join(folder: Path) -> None:
    """Adds the encoder to a folder with a head: its native file, and the compiled form of both together."""
    import openvino as ov  # only where a folder is completed: the API process does not need it

    shutil.copyfile(WEIGHTS / NATIVE, folder / NATIVE)
    (folder / IR_MODEL.parent).mkdir(exist_ok=True)
    ov.save_model(joined(folder / HEAD), folder / IR_MODEL, compress_to_fp16=False)


def joined(head: Path) -> Any:
    """The encoder and a head: ``pictures``, ``lengths`` and ``levels`` in, ``logits`` and seconds of speech out.

    Args:
        head: A file as ``training.fitting.heads.save`` writes it.
    """
    import openvino as ov
    from openvino import opset13 as ops

    encoder = read(WEIGHTS)
    found = {port.any_name: port.node.input_value(0) for port in encoder.outputs}
    levels = ops.parameter([-1, LEVELS], np.float32, name="levels")
    with np.load(head) as file:
        arrays = {name: file[name].astype(np.float32) for name in file.files}
        features = ops.concat([found["speech" if arrays["speech_only"] else "whole"], levels], 1)
        logits = _head(features, arrays)
    result = ops.concat([logits, found["seconds"]], 1)
    model = ov.Model([result], [*encoder.get_parameters(), levels], "classifier")
    model.inputs[-1].get_tensor().set_names({"levels"})
    model.outputs[0].get_tensor().set_names({"logits"})
    return model


def read(weights: Path) -> Any:
    """The compiled encoder: its graph, filled with the values of the native file, which are kept only there.

    Args:
        weights: The encoder's folder.
    """
    import openvino as ov

    values = filled(weights / COMPILED_OFFSETS, (weights / NATIVE).read_bytes())
    return ov.Core().read_model((weights / COMPILED).read_bytes(), ov.Tensor(np.frombuffer(values, np.uint8)))


def _head(features: Any, arrays: Mapping[str, Any]) -> Any:
    """Logits; the arrays tell which kind of head they are of (see ``network.load_native``)."""
    if "support" in arrays:
        return _kernel(features, arrays)
    return _dense(features, arrays) if "weight0" in arrays else _linear(features, arrays)


def _linear(features: Any, arrays: Mapping[str, Any]) -> Any:
    from openvino import opset13 as ops

    return ops.add(_times(features, arrays["weight"]), arrays["bias"][None])


def _times(states: Any, weights: Any) -> Any:
    """``states @ weights``, which stays in float32 where matrix products are computed in bfloat16.

    Behind its last matrix product OpenVINO computes in float32 in any case. The statistics and the head need the
    digits: with them in bfloat16 probabilities move twice as far (``benchmarks.precision``), and a head's products are
    less than a thousandth of the encoder's.
    """
    from openvino import opset13 as ops

    return ops.reduce_sum(ops.multiply(ops.unsqueeze(states, np.array([2])), weights[None]), np.array([1]), False)


def _kernel(features: Any, arrays: Mapping[str, Any]) -> Any:
    from openvino import opset13 as ops

    # Squares of differences: the difference of large squares loses the digits, all of them in bfloat16.
    points = ops.unsqueeze(_times(features, arrays["projection"]), np.array([1]))
    apart = ops.subtract(points, arrays["support"][None])
    squares = ops.reduce_sum(ops.multiply(apart, apart), np.array([2]), keep_dims=True)
    return ops.reduce_sum(ops.multiply(ops.exp(ops.negative(squares)), arrays["weight"][None]), np.array([1]), False)


def _dense(features: Any, arrays: Mapping[str, Any]) -> Any:
    from openvino import opset13 as ops

    count = sum(name.startswith("weight") for name in arrays)
    layers = [(arrays[f"weight{layer}"], arrays[f"bias{layer}"]) for layer in range(count)]
    answers = []
    for network in range(len(layers[0][0])):  # one after another: the plug-in takes no stack of matrices here
        states = features
        for layer, (weights, biases) in enumerate(layers):
            states = ops.gelu(states, "erf") if layer else states
            states = ops.add(_times(states, weights[network]), biases[network])
        answers.append(states)
    return ops.multiply(functools.reduce(ops.add, answers), np.float32(1 / len(answers)))
