"""The native network of an imported checkpoint: the publisher's outputs, read as this bundle's classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import AutoModelForAudioClassification, PreTrainedModel
from transformers import logging as transformers_logging

from models.published.checkpoint import Checkpoint, CheckpointError, Picture

transformers_logging.set_verbosity_error()

# Weights of training alone, which some published files leave out.
UNUSED_WEIGHTS = ("masked_spec_embed",)

Attention = Literal["sdpa", "eager"]


class Readout(nn.Module):
    """A publisher's network with one logit for each class of the bundle, in its order.

    Labels that exclude each other count for a class by the sum of their probabilities. Of independent labels the
    strongest counts: a class that many labels name would otherwise win by their number.
    """

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]], outputs: str) -> None:
        """Takes over a network in evaluation mode.

        Args:
            network: Gives [batch, labels], or an object with such ``logits``.
            groups: For each class the labels that count for it.
            outputs: As in ``Checkpoint``; ``logits`` or ``independent``.
        """
        super().__init__()
        self.network = network
        self.groups = [list(group) for group in groups]
        self.outputs = outputs

    def forward(self, input_values: Tensor) -> Tensor:
        """Logits [batch, classes]; their softmax are the classes' probabilities."""
        answer = self.network(input_values)
        values: Tensor = getattr(answer, "logits", answer)
        values = values.float()  # of a network in 16 bits: probabilities near 0 and 1 need more
        columns = [values[:, group] for group in self.groups]
        if self.outputs == "independent":
            return torch.stack([nn.functional.logsigmoid(column.amax(dim=1)) for column in columns], dim=1)
        return torch.stack([torch.logsumexp(column, dim=1) for column in columns], dim=1)


def load_native(weights: Path, checkpoint: Checkpoint, classes: tuple[str, ...], attention: Attention = "sdpa") -> Any:
    """Loads the native network of an imported checkpoint: of torch, or of Keras on TensorFlow.

    Args:
        weights: The folder of a store entry, or one that is to become one.
        checkpoint: What the folder says of itself.
        classes: Class names in the order of the bundle.
        attention: As of ``load_transformers``.

    Raises:
        CheckpointError: The files are not a whole network of the library's own.
    """
    if isinstance(checkpoint.fed, Picture):
        from models.published.faces import load_keras  # it loads TensorFlow, which the others do without

        return load_keras(weights, checkpoint, classes)
    return Readout(load_transformers(weights, attention), checkpoint.groups(classes), checkpoint.outputs).eval()


def load_transformers(folder: Path, attention: Attention = "sdpa") -> PreTrainedModel:
    """A transformers network from safetensors.

    Args:
        folder: With its files.
        attention: ``sdpa``, torch's kernel in one piece, which a GPU needs; ``eager``, whose parts can be traced.

    Raises:
        CheckpointError: Weights are missing or do not fit: the library would fill in random ones.
    """
    try:
        network, info = AutoModelForAudioClassification.from_pretrained(
            folder,
            attn_implementation=attention,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, with their names
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"transformers cannot load it: {str(error).splitlines()[0]}") from error
    missing = [name for name in info["missing_keys"] if not name.endswith(UNUSED_WEIGHTS)]
    if wrong := sorted([*missing, *(str(key[0]) for key in info["mismatched_keys"])]):
        raise CheckpointError(f"{len(wrong)} weights are missing or have another shape, such as {wrong[0]}")
    _fold_weight_norm(network)
    return network.eval()


def _fold_weight_norm(network: nn.Module) -> None:
    """Makes plain weights of parametrised ones, which would otherwise be computed again for every batch."""
    for module in network.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
