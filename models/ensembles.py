"""Networks of one kind side by side in one graph, and their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

NATIVE, CONFIG = "model.safetensors", "config.json"


class Ensemble(nn.Module):
    """The mean of the members' logits; a subclass says what the members are, and names their inputs in ``forward``."""

    member: ClassVar[type[nn.Module]]

    def __init__(self, members: int) -> None:
        """Builds the members.

        Args:
            members: How many.
        """
        super().__init__()
        self.members = nn.ModuleList(self.member() for _ in range(members))

    def mean(self, *inputs: Tensor) -> Tensor:
        """Logits [batch, classes] of what each member takes."""
        return torch.stack([member(*inputs) for member in self.members]).mean(dim=0)

    def save(self, weights: Path) -> None:
        """Writes the files into a weights folder."""
        weights.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, weights / NATIVE)
        (weights / CONFIG).write_text(json.dumps({"members": len(self.members)}) + "\n")

    @classmethod
    def load(cls, weights: Path) -> Self:
        """The ensemble of a weights folder, in evaluation mode."""
        ensemble = cls(json.loads((weights / CONFIG).read_text())["members"])
        ensemble.load_state_dict(load_file(weights / NATIVE))
        return ensemble.eval()
