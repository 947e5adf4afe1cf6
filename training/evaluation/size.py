"""How large a model is: counted in its files."""

from __future__ import annotations

import io
import json
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from models.values import IR_MODEL

MEGABYTE = 1e6  # bytes


def size(weights: Path) -> dict[str, Any]:
    """Parameters, and megabytes of the native and of the compiled form.

    Args:
        weights: A complete folder (``registry.complete``), with a file of safetensors or of Keras, and for the models
            on the shared encoder a head.
    """
    native = [path for path in sorted(weights.iterdir()) if path.suffix in COUNTED]
    compiled = weights / IR_MODEL
    stored = sum(path.stat().st_size for path in (compiled, compiled.with_suffix(".bin")))
    return {
        "parameters": sum(COUNTED[path.suffix](path) for path in native),
        "native_mb": sum(path.stat().st_size for path in native) / MEGABYTE,
        "compiled_mb": stored / MEGABYTE,
    }


def _safetensors(path: Path) -> int:
    """Numbers in a safetensors file, by its header."""
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _keras(path: Path) -> int:
    """Numbers in the weights of a Keras archive."""
    total = 0

    def count(_: str, node: object) -> None:
        nonlocal total
        total += node.size if isinstance(node, h5py.Dataset) and node.dtype.kind == "f" else 0

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(count)
    return total


def _head(path: Path) -> int:
    """Numbers in the arrays of a head; what it reads is a flag, not a number."""
    with np.load(path) as arrays:
        return sum(arrays[name].size for name in arrays.files if arrays[name].dtype.kind == "f")


COUNTED = {".safetensors": _safetensors, ".keras": _keras, ".npz": _head}
