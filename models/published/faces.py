"""Keras networks that tell faces apart, in the place of the compact one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models.face_gender.backend import IMAGENET_MEAN, keras
from models.published.checkpoint import Checkpoint
from models.published.errors import CheckpointError


class Faces(nn.Module):
    """A Keras network with its own scaling of values in front."""

    def __init__(self, network: keras.Model, pixels: str) -> None:
        """Takes over a network.

        Args:
            network: Reads [batch, height, width, 3].
            pixels: As in ``Checkpoint``.

        Raises:
            CheckpointError: Its last activation is none that is known.
        """
        super().__init__()
        self.network = network
        self.pixels = pixels
        self.linear = last_activation(network) == "linear"
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN))

    def forward(self, input_values: Tensor) -> Tensor:
        """The network's answer, [batch, labels], to pictures of 0 to 255, RGB."""
        answer: Tensor = self.network(self._scaled(input_values), training=False)
        if answer.shape[1] > 1:
            return answer
        # One number is that of the second class: its logit, or its probability.
        return torch.cat((torch.zeros_like(answer) if self.linear else 1 - answer, answer), dim=1)

    def _scaled(self, values: Tensor) -> Tensor:
        if self.pixels == "imagenet-bgr":
            return values.flip(3) - self.mean  # type: ignore[operator]  # a buffer is a tensor
        return {"0..255": values, "0..1": values / 255, "-1..1": values / 127.5 - 1}[self.pixels]


def keras_file(folder: Path) -> Path:
    """The network's file in a folder: ``.keras``, or the older HDF5.

    Raises:
        CheckpointError: There is not exactly one.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (".keras", ".h5"))
    if len(files) != 1:
        raise CheckpointError(f"one .keras or .h5 file is needed, there are {len(files)}")
    return files[0]


def read(path: Path) -> keras.Model:
    """Reads a Keras file; one that brings its own code is refused.

    Raises:
        CheckpointError: It is not one picture in and a few numbers out, or cannot be read safely.
    """
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise CheckpointError(f"Keras cannot load it safely: {str(error).splitlines()[0]}") from error
    shapes = [tuple(tensor.shape) for tensor in (*model.inputs, *model.outputs)]
    fits = len(shapes) == 2 and len(shapes[0]) == 4 and shapes[0][1] == shapes[0][2] and shapes[0][3] == 3
    if not fits or shapes[0][1] is None or len(shapes[1]) != 2:
        raise CheckpointError(f"square pictures in and one row of numbers out are needed, it has {shapes}")
    return model


def last_activation(model: keras.Model) -> str:
    """Name of the activation that gives the answer: ``linear`` (there is none), ``softmax`` or ``sigmoid``.

    Raises:
        CheckpointError: It is another one.
    """
    layer = model.layers[-1]
    while isinstance(layer, keras.Model):
        layer = layer.layers[-1]
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    name = str(getattr(getattr(layer, "activation", None), "__name__", "linear"))
    if name not in {"linear", "softmax", "sigmoid"}:
        raise CheckpointError(f"its last activation is {name}; linear, softmax and sigmoid are known")
    return name


def load_keras(weights: Path, checkpoint: Checkpoint) -> nn.Module:
    """The Keras network of an imported checkpoint, with its scaling of values."""
    return Faces(read(keras_file(weights)), checkpoint.pixels)
