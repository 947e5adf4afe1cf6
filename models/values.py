"""The values of a compiled form, taken from a native file that holds them too: git keeps them once."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import numpy as np

IR_MODEL = Path("openvino") / "model.xml"  # the graph of a compiled form, in a folder of weights
IR_VALUES = IR_MODEL.with_suffix(".bin")
IR_OFFSETS = IR_MODEL.with_suffix(".json")  # where the native file's values lie in these, which it replaces


def filled(offsets: Path, native: bytes) -> bytearray:
    """The values of a compiled form.

    Args:
        offsets: As ``training.offsets`` writes it. ``copied`` lists where bytes go to, where they are in the native
            file, and how many they are. ``halved`` lists where values of 16 bits go to, where those of 32 bits are in
            the native file, their shape, and the order of their axes in the compiled form. ``constants`` lists offsets
            and bytes that the native file lacks.
        native: The native file's content, not compressed.
    """
    said = json.loads(offsets.read_text())
    values = bytearray(said["bytes"])
    for target, source, size in said["copied"]:
        values[target : target + size] = native[source : source + size]
    for target, source, shape, axes in said.get("halved", ()):
        array = np.frombuffer(native, "<f4", prod(shape), source).reshape(shape).transpose(axes)
        content = array.astype("<f2").tobytes()
        values[target : target + len(content)] = content
    for target, constant in said["constants"]:
        values[target : target + len(constant) // 2] = bytes.fromhex(constant)
    return values
