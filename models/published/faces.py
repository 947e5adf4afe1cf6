"""Keras networks that tell faces apart, in the place of the compact one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.face_gender.backend import IMAGENET_MEAN, keras
from models.face_gender.network import INPUT
from models.published import saved_model
from models.published.checkpoint import Checkpoint, CheckpointError

LEAST = 1e-7  # of a probability, before its logarithm is taken


def network_path(folder: Path, name: str = "") -> Path:
    """Where a folder's network is: a ``.keras`` file, the older HDF5, or the folder itself (TensorFlow's SavedModel).

    Args:
        folder: The folder.
        name: The file that was asked for; any other one of these kinds is then let be.

    Raises:
        CheckpointError: There is not exactly one.
    """
    if (folder / name).is_file():
        return folder / name
    files = sorted(path for path in folder.iterdir() if path.suffix in (".keras", ".h5"))
    if (folder / saved_model.GRAPH).is_file():
        files.append(folder)
    if len(files) != 1:
        raise CheckpointError(f"one .keras or .h5 file, or one SavedModel, is needed, there are {len(files)}")
    return files[0]


def network_files(path: Path) -> list[Path]:
    """The files of a network: one, or those of a SavedModel's folder."""
    return saved_model.files(path) if path.is_dir() else [path]


def read(path: Path) -> keras.Model:
    """Reads a Keras file or a SavedModel; one that brings its own code is refused.

    Args:
        path: As ``network_path`` finds it.

    Raises:
        CheckpointError: It is not one picture in and a few numbers out, or cannot be read safely.
    """
    model = saved_model.read(path) if path.is_dir() else _read_file(path)
    shapes = [tuple(tensor.shape) for tensor in (*model.inputs, *model.outputs)]
    fits = len(shapes) == 2 and len(shapes[0]) == 4 and shapes[0][1] == shapes[0][2] and shapes[0][3] == 3
    if not fits or shapes[0][1] is None or len(shapes[1]) != 2:
        raise CheckpointError(f"square pictures in and one row of numbers out are needed, it has {shapes}")
    return model


def _read_file(path: Path) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise CheckpointError(f"Keras cannot load it safely: {str(error).splitlines()[0]}") from error


def last_activation(model: keras.Model) -> str:
    """Name of the activation that gives the answer: ``linear`` (there is none), ``softmax`` or ``sigmoid``.

    Raises:
        CheckpointError: It is another one.
    """
    layer = model.layers[-1]
    while isinstance(layer, keras.Model):
        layer = layer.layers[-1]
    if isinstance(layer, keras.layers.TFSMLayer):
        return saved_model.last_activation(Path(layer.filepath))
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    name = str(getattr(getattr(layer, "activation", None), "__name__", "linear"))
    if name not in {"linear", "softmax", "sigmoid"}:
        raise CheckpointError(f"its last activation is {name}; linear, softmax and sigmoid are known")
    return name


def load_keras(weights: Path, checkpoint: Checkpoint, classes: tuple[str, ...]) -> keras.Model:
    """The network of an imported checkpoint, with its scaling of values in front and the bundle's classes behind.

    Args:
        weights: Folder with its file or files.
        checkpoint: What it is.
        classes: Class names in the order of the bundle.

    Returns:
        Reads float32 [batch, size, size, 3], RGB from 0 to 255; gives logits [batch, classes].
    """
    path, ops = network_path(weights), keras.ops
    network = saved_model.load(path) if path.is_dir() else _read_file(path)
    inputs = keras.Input(network.inputs[0].shape[1:], name=INPUT)
    answer = network(_scaled(inputs, checkpoint.pixels), training=False)
    if answer.shape[1] == 1:  # one number is that of the second class: its logit, or its probability
        first = ops.zeros_like(answer) if checkpoint.outputs == "logits" else 1 - answer
        answer = ops.concatenate((first, answer), axis=1)
    if checkpoint.outputs == "probabilities":
        answer = ops.log(ops.clip(answer, LEAST, 1.0))
    columns = [
        ops.logsumexp(ops.take(answer, group, axis=1), axis=1, keepdims=True) for group in checkpoint.groups(classes)
    ]
    return keras.Model(inputs, ops.concatenate(columns, axis=1))


def _scaled(values: keras.KerasTensor, pixels: str) -> keras.KerasTensor:
    if pixels == "imagenet-bgr":
        return keras.ops.flip(values, axis=3) - np.array(IMAGENET_MEAN, np.float32)
    return {"0..255": values, "0..1": values / 255.0, "-1..1": values / 127.5 - 1.0}[pixels]
