"""The face networks in Keras on TensorFlow: a residual network that begins as dlib's, and VGG16, the reference's.

Both read float32 [batch, size, size, 3], RGB from 0 to 255, and answer logits [batch, 2]; scaling is inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.completion import KERAS as NATIVE
from models.face_gender import SPEC
from models.face_gender.backend import IMAGENET_MEAN, keras, layers

INPUT = "input_values"
CONVOLUTIONS = (2, 2, 3, 3, 3)  # of VGG16's five blocks
WIDTHS = (12, 24, 48, 96, 160)  # channels of the blocks; VGG16 has 64, 128, 256, 512, 512
FULL_WIDTHS = (64, 128, 256, 512, 512)
VGG16_TRAINED_FROM = 3  # block; earlier ones keep their ImageNet kernels

MEAN_COLOUR = (122.782, 117.001, 104.298)  # red, green, blue: what dlib's networks take off
# Name, channels and residual blocks of each level; all but the first begin with a block that halves the side.
LEVELS = (("level1", 32, 3), ("level2", 64, 4), ("level3", 128, 3), ("level4", 256, 3), ("level5", 256, 1))
SMALL = 0.1  # what the last map is scaled by: the steps of Adam are of one size, so the head's are then small ones


def residual(size: int, dropout: float = 0.2) -> keras.Model:
    """Dlib's residual network for faces (King, 2017; ResNet-29 at half width) with one dense layer behind it.

    Its batch normalisation is folded into the convolutions. The last map is flattened, not averaged: faces are aligned,
    so places mean something. The dense layer begins at zero, so that it disturbs nothing below it at first.

    Args:
        size: Side of the picture (pixels); dlib's is 150.
        dropout: Share of values dropped before the dense layer while training.
    """
    inputs = keras.Input((size, size, 3), name=INPUT)
    values = layers.Rescaling(1 / 256, offset=[-mean / 256 for mean in MEAN_COLOUR], name="rescaling")(inputs)
    values = layers.Conv2D(32, 7, strides=2, activation="relu", name="stem")(values)
    values = layers.MaxPooling2D(3, 2, name="stem_pool")(values)
    maps = []
    for level, width, blocks in LEVELS:
        for place in range(blocks):
            halve = place == 0 and level != LEVELS[0][0]
            values = _residual_block(values, width, f"{level}_block{place + 1}", halve=halve)
        maps.append(layers.Flatten(name=f"{level}_flat")(values))
    values = layers.Rescaling(SMALL, name="small")(layers.Concatenate(name="maps")(maps[-2:]))
    values = layers.Dropout(dropout, name="dropout")(values)
    logits = layers.Dense(len(SPEC.classes), kernel_initializer="zeros", dtype="float32", name="logits")(values)
    return keras.Model(inputs, logits, name="residual")


def mirrored(model: keras.Model) -> keras.Model:
    """A network that reads a picture and its mirror image, and answers the mean of both logits."""
    inputs = keras.Input(model.input_shape[1:], name=INPUT)
    both = [model(inputs), model(keras.ops.flip(inputs, axis=2))]
    return keras.Model(inputs, layers.Average(name="mean")(both), name="mirrored")


def _residual_block(values: keras.KerasTensor, width: int, name: str, *, halve: bool) -> keras.KerasTensor:
    """Two convolutions added to what they read; where sides or channels differ, zeros are put behind the smaller."""
    padding, stride = ("valid", 2) if halve else ("same", 1)
    first = layers.Conv2D(width, 3, strides=stride, padding=padding, activation="relu", name=f"{name}_conv1")(values)
    kernel = 3 if first.shape[1] > 1 else 1  # of a map of one pixel the rest of a kernel reads zeros alone
    second = layers.Conv2D(width, kernel, padding="same", name=f"{name}_conv2")(first)
    if halve:
        values = layers.AveragePooling2D(2, name=f"{name}_pool")(values)
        if width > values.shape[-1]:
            zeros = layers.Rescaling(0.0, name=f"{name}_zeros")(values)
            values = layers.Concatenate(name=f"{name}_widen")([values, zeros])
        if (behind := values.shape[1] - second.shape[1]) > 0:
            second = layers.ZeroPadding2D(((0, behind), (0, behind)), name=f"{name}_pad")(second)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([values, second]))


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


def load_native(weights: Path) -> keras.Model:
    """Loads the network of a weights folder."""
    return keras.saving.load_model(weights / NATIVE, compile=False)


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
