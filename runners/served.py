"""What a runner says that it serves: the API knows of a model what its runner says, and resolves no tag itself."""

from __future__ import annotations

from pydantic import BaseModel

from models.published.checkpoint import Checkpoint
from models.spec import ModelSpec


class Served(BaseModel):
    """The store entry that a runner has opened.

    Attributes:
        tag: Name and version.
        checkpoint: How an imported checkpoint differs from the bundled model; None for the bundled one.
    """

    tag: str
    checkpoint: Checkpoint | None = None

    def describe(self, spec: ModelSpec) -> ModelSpec:
        """The model as it is served."""
        return self.checkpoint.describe(spec) if self.checkpoint else spec
