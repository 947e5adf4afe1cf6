"""How large a model is: counted in its files."""

from __future__ import annotations

import io
import json
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import h5py

from models.store import IR_MODEL

MEGABYTE = 1e6  # bytes


def size(weights: Path) -> dict[str, Any]:
    """Parameters, and megabytes of the native and of the compiled form.

    Args:
        weights: A complete folder (``registry.complete``), with a file of safetensors or of Keras.
    """
    native = next(path for path in sorted(weights.iterdir()) if path.suffix in (".safetensors", ".keras"))
    compiled = weights / IR_MODEL
    stored = sum(path.stat().st_size for path in (compiled, compiled.with_suffix(".bin")))
    count = _safetensors if native.suffix == ".safetensors" else _keras
    return {
        "parameters": count(native),
        "native_mb": native.stat().st_size / MEGABYTE,
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
