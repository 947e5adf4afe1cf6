"""A face network as it is kept: Keras' file with kernels of 16 bits, and OpenVINO's form of TensorFlow's SavedModel.

The values of both are the same, so that git has those of Keras' file alone.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from models.completion import KERAS as NATIVE
from models.completion import KERAS_VALUES
from models.face_gender.backend import keras
from models.face_gender.network import INPUT, load_native
from models.store import MADE, RECORD, file_digest
from models.values import IR_MODEL, IR_OFFSETS, IR_VALUES
from training import export as compiled
from training.offsets import write_offsets

AXES = {2: (1, 0), 4: (3, 2, 0, 1)}


def save(model: keras.Model, weights: Path) -> None:
    """Writes the native file of a weights folder, compressed: kernels of 16 bits leave half of its bytes 0."""
    with tempfile.TemporaryDirectory() as name:
        stored = Path(name) / NATIVE
        model.save(stored)
        with zipfile.ZipFile(stored) as given, zipfile.ZipFile(weights / NATIVE, "w") as file:
            for entry in sorted(given.namelist()):
                file.writestr(zipfile.ZipInfo(entry), given.read(entry), zipfile.ZIP_BZIP2)


def rounded(model: keras.Model) -> keras.Model:
    """Rounds kernels to what 16 bits hold, as the compiled form does, so that both forms give the same answer."""
    for variable in model.weights:
        if len(variable.shape) > 1:
            variable.assign(keras.ops.convert_to_numpy(variable).astype(np.float16).astype(np.float32))
    return model


def answers(model: keras.Model, batch: compiled.Arrays) -> NDArray[np.float32]:
    """What a Keras network gives, float32 [batch, classes], without what is used in training only."""
    return np.asarray(keras.ops.convert_to_numpy(model(batch[INPUT], training=False)), np.float32)


def convert(model: keras.Model) -> ov.Model:
    """A Keras network as an OpenVINO model, with its input and output named."""
    with tempfile.TemporaryDirectory() as name:
        model.export(name, format="tf_saved_model", verbose=False)
        converted = ov.convert_model(name)
    converted.inputs[0].get_tensor().set_names({INPUT})
    converted.outputs[0].get_tensor().set_names({"logits"})
    return converted


def export(weights: Path, batches: Sequence[compiled.Arrays]) -> float:
    """Writes the compiled form of a weights folder, checked against TensorFlow's own answers.

    Args:
        weights: Folder with the native file and the calibration.
        batches: Real pictures, as ``processing.PROCESSOR`` collates them.

    Returns:
        The largest difference of a probability.

    Raises:
        ValueError: It is too large.
    """
    model = load_native(weights)
    difference = compiled.save(convert(model), weights, lambda batch: answers(model, batch), batches)
    keep_once(weights)
    return difference


def keep_once(weights: Path) -> None:
    """Takes the compiled form's values out of a weights folder, and records where the native file has them."""
    made = {IR_VALUES.as_posix(): file_digest(weights / IR_VALUES)}
    write_offsets(weights / IR_MODEL, _held(weights / NATIVE))
    (weights / IR_OFFSETS).chmod(compiled.READABLE)
    record = json.loads((weights / RECORD).read_text()) | {"sha256": compiled.digests(weights), MADE: made}
    (weights / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def _held(native: Path) -> dict[bytes, tuple[str, list[object]]]:
    """The arrays of a Keras file as OpenVINO keeps them, and where they lie in the file.

    TensorFlow's kernels are [height, width, in, out] and [in, out], OpenVINO's [out, in, height, width] and [out, in].
    """
    with zipfile.ZipFile(native) as archive:
        content = archive.read(KERAS_VALUES)
    held: dict[bytes, tuple[str, list[object]]] = {}

    def add(_: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype == np.float32:
            axes = AXES.get(node.ndim, tuple(range(node.ndim)))
            values = np.asarray(node).transpose(axes).astype("<f2").tobytes()
            held[values] = ("halved", [node.id.get_offset(), list(node.shape), list(axes)])

    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(add)
    return held
