"""The face networks in Keras: VGG16 at reduced width or from ImageNet, and MobileNetV2 with weights from ImageNet.

Both read float32 [batch, size, size, 3], RGB from 0 to 255, and answer logits [batch, 2]; scaling is inside.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.face_gender import SPEC
from models.face_gender.backend import IMAGENET_MEAN, keras, layers
from models.face_gender.twin import Twin
from training import export as compiled_form

NATIVE = "model.keras"
INPUT = "input_values"
CONVOLUTIONS = (2, 2, 3, 3, 3)  # of VGG16's five blocks
WIDTHS = (12, 24, 48, 96, 160)  # channels of the blocks; VGG16 has 64, 128, 256, 512, 512
FULL_WIDTHS = (64, 128, 256, 512, 512)
VGG16_TRAINED_FROM = 3  # block; earlier ones keep their ImageNet kernels
CUT = "block_16_project_BN"  # last layer kept of MobileNetV2: its last 1x1 convolution is half of all weights
TRAINED_FROM = "block_3_expand"  # earlier layers keep their ImageNet kernels: edges and colours, and most of the time


def vgg16(
    size: int,
    widths: Sequence[int] = WIDTHS,
    hidden: int = 256,
    dropout: float = 0.5,
    imagenet: Path | None = None,
) -> keras.Model:
    """VGG16 (Simonyan and Zisserman, 2015, configuration D) with one hidden dense layer.

    The last map is flattened, not averaged: faces are aligned, so places mean something. Trained from random weights it
    has batch normalisation; from ImageNet's it is as published, with the kernels of the first blocks frozen.

    Args:
        size: Side of the picture (pixels), at least 32.
        widths: Channels of the five blocks; with ``imagenet`` they are ``FULL_WIDTHS``.
        hidden: Units of the dense layer (VGG16: two of 4096).
        dropout: Share of values dropped before the dense layers while training.
        imagenet: HDF5 file of the network without its top, in the layout of ``keras.applications``
            (``vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5``); random weights if None.

    Raises:
        ValueError: The file is of another network.
    """
    inputs = keras.Input((size, size, 3), name=INPUT)
    convolution = _published_convolution if imagenet else _convolution
    values = _imagenet_colours(inputs) if imagenet else layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    widths = FULL_WIDTHS if imagenet else widths
    for block, (count, width) in enumerate(zip(CONVOLUTIONS, widths, strict=True), start=1):
        for place in range(1, count + 1):
            values = convolution(values, width, f"block{block}_conv{place}")
        values = layers.MaxPooling2D(2, name=f"block{block}_pool")(values)
    model = _vgg16_top(inputs, values, hidden, dropout)
    if imagenet:
        _take_over(model, imagenet, size)
    return model


def _vgg16_top(inputs: keras.KerasTensor, values: keras.KerasTensor, hidden: int, dropout: float) -> keras.Model:
    values = layers.Dropout(dropout, name="dropout1")(layers.Flatten(name="flatten")(values))
    values = layers.ReLU(name="fc1_relu")(layers.Dense(hidden, name="fc1")(values))
    values = layers.Dropout(dropout, name="dropout2")(values)
    return keras.Model(inputs, layers.Dense(len(SPEC.classes), name="logits")(values), name="vgg16")


def _take_over(model: keras.Model, imagenet: Path, size: int) -> None:
    """Sets the convolutions to those of a file, layer by layer in its order, and freezes the first blocks."""
    published = keras.applications.VGG16(include_top=False, weights=str(imagenet), input_shape=(size, size, 3))
    for layer in published.layers:
        if isinstance(layer, layers.Conv2D):
            ours = model.get_layer(layer.name)
            for variable, found in zip(ours.weights, layer.weights, strict=True):
                variable.assign(found.value)
            ours.trainable = int(layer.name[len("block")]) >= VGG16_TRAINED_FROM


def mobilenet_v2(size: int, imagenet: Path | None = None, alpha: float = 1.0, dropout: float = 0.3) -> keras.Model:
    """MobileNetV2 (Sandler et al., 2018) up to its last narrow layer, flattened into one dense layer.

    Batch normalisation is frozen: the statistics in the file are not real ones.

    Args:
        size: Side of the picture (pixels).
        imagenet: Keras HDF5 file of the network without its top; random weights if None.
        alpha: Width; that of the file.
        dropout: Share of values dropped before the dense layer while training.
    """
    inputs = keras.Input((size, size, 3), name=INPUT)
    scaled = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    base = keras.applications.MobileNetV2(
        alpha=alpha,
        include_top=False,
        input_tensor=scaled,
        input_shape=(size, size, 3),
        weights=str(imagenet) if imagenet else None,
    )
    early = base.layers.index(base.get_layer(TRAINED_FROM))
    for place, layer in enumerate(base.layers):
        layer.trainable = place >= early and not isinstance(layer, layers.BatchNormalization)
    values = layers.Flatten(name="flatten")(base.get_layer(CUT).output)
    values = layers.Dropout(dropout, name="dropout")(values)
    return keras.Model(inputs, layers.Dense(len(SPEC.classes), name="logits")(values), name="mobilenet_v2")


def save(model: keras.Model, weights: Path) -> None:
    """Writes the native file of a weights folder, compressed: kernels of 16 bits leave half of its bytes 0."""
    with tempfile.TemporaryDirectory() as name:
        stored = Path(name) / NATIVE
        model.save(stored)
        with zipfile.ZipFile(stored) as given, zipfile.ZipFile(weights / NATIVE, "w") as file:
            for entry in sorted(given.namelist()):
                file.writestr(zipfile.ZipInfo(entry), given.read(entry), zipfile.ZIP_DEFLATED)


def load_native(weights: Path) -> keras.Model:
    """Loads the network of a weights folder."""
    return keras.saving.load_model(weights / NATIVE, compile=False)


def export(weights: Path, batches: Sequence[compiled_form.Arrays]) -> float:
    """Writes the compiled form of a weights folder, checked against the Keras network.

    Args:
        weights: Folder with the native file and the calibration.
        batches: Real pictures, as ``processing.PROCESSOR`` collates them.

    Returns:
        The largest difference of a probability.

    Raises:
        ValueError: It is too large.
    """
    model = load_native(weights)
    size = model.input.shape[1]

    def native(batch: compiled_form.Arrays) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(batch[INPUT]), training=False).cpu().numpy(), np.float32)

    example = {INPUT: torch.zeros(2, size, size, 3)}
    return compiled_form.save(
        compiled_form.convert(Twin(model).eval(), example, {INPUT: [-1, size, size, 3]}), weights, native, batches
    )


def _convolution(values: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    values = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(values)
    values = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(values)
    return layers.ReLU(name=f"{name}_relu")(values)


def _published_convolution(values: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    return layers.ReLU(name=f"{name}_relu")(layers.Conv2D(width, 3, padding="same", name=name)(values))


def _imagenet_colours(values: keras.KerasTensor) -> keras.KerasTensor:
    """Blue first, and the mean colour taken off: what ``keras.applications.vgg16.preprocess_input`` does."""
    layer = layers.Conv2D(3, 1, trainable=False, name="colours")
    changed = layer(values)
    layer.set_weights([np.eye(3, dtype=np.float32)[None, None, ::-1], -np.array(IMAGENET_MEAN, np.float32)])
    return changed
