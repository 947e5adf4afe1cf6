"""A Keras network as a plain torch module with the same weights, and the way back.

Keras on its torch backend trains these networks at less than half of torch's speed on a CPU, and OpenVINO traces torch
modules. The twin is built from the Keras graph itself, so the Keras definition stays the only one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from models.face_gender.backend import keras, layers


class Twin(nn.Module):
    """The same function as a Keras functional model of one input and one output.

    Reads float32 [batch, height, width, channels] as the Keras model does.
    """

    def __init__(self, model: keras.Model) -> None:
        """Copies a model's weights.

        Args:
            model: Functional, channels last, of the layers named in ``_BUILDERS``.

        Raises:
            TypeError: It has a layer that is not known here.
        """
        super().__init__()
        self.modules_by_name = nn.ModuleDict()
        self.frozen: set[str] = set()
        self.steps: list[tuple[str, tuple[str, ...]]] = []
        for layer in model.layers[1:]:
            sources = layer._inbound_nodes[0].input_tensors
            self.steps.append((layer.name, tuple(t._keras_history.operation.name for t in sources)))
            self.modules_by_name[layer.name] = _build(layer)
            self.modules_by_name[layer.name].requires_grad_(layer.trainable)
            if isinstance(layer, layers.BatchNormalization) and not layer.trainable:
                self.frozen.add(layer.name)
        self.source = model.layers[0].name
        copy_weights(model, self, to_keras=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, input_values: Tensor) -> Tensor:
        """Logits [batch, classes] of pictures [batch, height, width, channels]."""
        values = {self.source: input_values.permute(0, 3, 1, 2)}
        for name, sources in self.steps:
            result: Tensor = self.modules_by_name[name](*(values[source] for source in sources))
            values[name] = result
        return result

    def train(self, mode: bool = True) -> Twin:
        """Switches the mode; frozen batch normalisation keeps its statistics."""
        super().train(mode)
        for name in self.frozen:
            self.modules_by_name[name].eval()
        return self


def copy_weights(model: keras.Model, twin: Twin, *, to_keras: bool) -> None:
    """Copies all weights between a Keras model and its twin.

    Args:
        model: The Keras model.
        twin: Built from it.
        to_keras: The direction.
    """
    with torch.no_grad():
        for layer in model.layers[1:]:
            for variable, tensor, order in _pairs(layer, twin.modules_by_name[layer.name]):
                if to_keras:
                    back = [order.index(axis) for axis in range(len(order))]
                    variable.assign(tensor.detach().float().permute(back).contiguous())
                else:
                    tensor.copy_(variable.value.detach().permute(order))


class _Affine(nn.Module):
    """Rescaling of values."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, values: Tensor) -> Tensor:
        return values * self.scale + self.offset


class _Flatten(nn.Module):
    """Flattens in Keras' order: rows, columns, channels."""

    def forward(self, values: Tensor) -> Tensor:
        return values.permute(0, 2, 3, 1).flatten(1)


class _Add(nn.Module):
    """Sum of two maps."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class _Convolution(nn.Conv2d):
    """A convolution with Keras' padding, which is one-sided where the stride does not divide evenly."""

    border: tuple[int, int, int, int] = (0, 0, 0, 0)

    def forward(self, input: Tensor) -> Tensor:
        if any(self.border):
            input = nn.functional.pad(input, self.border)
        return super().forward(input)


def _convolution(layer: Any) -> nn.Module:
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    channels = layer.input.shape[-1]
    sides = [_same(*args) for args in zip(layer.input.shape[1:3], layer.kernel_size, layer.strides, strict=True)]
    (top, bottom), (left, right) = sides if layer.padding == "same" else ((0, 0), (0, 0))
    even = top == bottom and left == right
    module = _Convolution(
        channels,
        layer.output.shape[-1],
        layer.kernel_size,
        stride=layer.strides,
        padding=(top, left) if even else 0,
        groups=channels if depthwise else 1,
        bias=layer.use_bias,
    )
    module.border = (0, 0, 0, 0) if even else (left, right, top, bottom)
    return module


def _same(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after one axis that Keras calls "same"."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def _normalisation(layer: Any) -> nn.Module:
    return nn.BatchNorm2d(layer.output.shape[-1], eps=layer.epsilon, momentum=1.0 - layer.momentum)


def _padding(layer: Any) -> nn.Module:
    (top, bottom), (left, right) = layer.padding
    return nn.ZeroPad2d((left, right, top, bottom))


_BUILDERS: dict[type, Callable[[Any], nn.Module]] = {
    layers.Rescaling: lambda layer: _Affine(layer.scale, layer.offset),
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _convolution,
    layers.BatchNormalization: _normalisation,
    layers.ReLU: lambda layer: nn.ReLU6() if layer.max_value == 6 else nn.ReLU(),
    layers.MaxPooling2D: lambda layer: nn.MaxPool2d(layer.pool_size, layer.strides),
    layers.ZeroPadding2D: _padding,
    layers.Add: lambda layer: _Add(),
    layers.Flatten: lambda layer: _Flatten(),
    layers.Dropout: lambda layer: nn.Dropout(layer.rate),
    layers.Dense: lambda layer: nn.Linear(layer.input.shape[-1], layer.units),
}


def _build(layer: Any) -> nn.Module:
    try:
        return _BUILDERS[type(layer)](layer)
    except KeyError:
        raise TypeError(f"no twin for the layer {layer.name} of type {type(layer).__name__}") from None


def _pairs(layer: Any, module: Any) -> list[tuple[Any, Tensor, tuple[int, ...]]]:
    """Keras variables with their torch tensors, and the order of the Keras axes in torch."""
    if isinstance(layer, layers.BatchNormalization):
        names = (
            ("gamma", "weight"),
            ("beta", "bias"),
            ("moving_mean", "running_mean"),
            ("moving_variance", "running_var"),
        )
        return [(getattr(layer, ours), getattr(module, theirs), (0,)) for ours, theirs in names]
    if not isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
        return []
    pairs = [(layer.kernel, module.weight, _kernel_order(layer))]
    return pairs + ([(layer.bias, module.bias, (0,))] if layer.use_bias else [])


def _kernel_order(layer: Any) -> tuple[int, ...]:
    """Where torch's kernel axes are in Keras' kernel."""
    if isinstance(layer, layers.Dense):
        return (1, 0)
    return (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (3, 2, 0, 1)
