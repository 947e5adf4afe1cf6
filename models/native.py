"""The native network of a store entry, called as the compiled one is. Needs the training requirements."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.published import network as published
from models.published.checkpoint import Checkpoint
from models.spec import ModelSpec


class Native(nn.Module):
    """Any model's network: torch or transformers, or Keras on TensorFlow behind ``KerasNetwork``.

    All take their inputs in the order in which the model's processor collates them.
    """

    def __init__(self, network: nn.Module) -> None:
        """Takes over a network in evaluation mode."""
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        answer = self.network(*inputs)
        logits: Tensor = getattr(answer, "logits", answer)
        return logits


class KerasNetwork(nn.Module):
    """A Keras network on TensorFlow, called with torch's arrays. It runs where TensorFlow puts it."""

    def __init__(self, network: Any) -> None:
        """Takes over a ``keras.Model``."""
        super().__init__()
        self.keras = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the network gives, [batch, classes]."""
        answer = self.keras(*(tensor.float().cpu().numpy() for tensor in inputs), training=False)
        return torch.from_numpy(np.array(answer, np.float32)).to(inputs[0].device)


def load(spec: ModelSpec, weights: Path) -> Native:
    """Loads a model's native network.

    Args:
        spec: The model.
        weights: Folder with its native files: a store entry, or the bundled weights.
    """
    if checkpoint := Checkpoint.load(weights):
        network = published.load_native(weights, checkpoint, spec.classes)
    else:
        network = importlib.import_module(f"models.{spec.name}.network").load_native(weights)
    return Native(network if isinstance(network, nn.Module) else KerasNetwork(network)).eval()
