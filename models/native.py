"""The native network of a store entry, called as the compiled one is. Needs the training requirements."""

from __future__ import annotations

import importlib
from pathlib import Path

from torch import Tensor, nn

from models.published import network as published
from models.published.checkpoint import Checkpoint
from models.spec import ModelSpec


class Native(nn.Module):
    """Any model's network: torch, transformers or Keras on torch.

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


def load(spec: ModelSpec, weights: Path) -> Native:
    """Loads a model's native network.

    Args:
        spec: The model.
        weights: Folder with its native files: a store entry, or the bundled weights.
    """
    if checkpoint := Checkpoint.load(weights):
        return Native(published.load_native(weights, checkpoint, spec.classes)).eval()
    network: nn.Module = importlib.import_module(f"models.{spec.name}.network").load_native(weights)
    return Native(network).eval()
