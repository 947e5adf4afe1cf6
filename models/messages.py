"""What is asked of a model and what it answers: the messages between the API process and a runner."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray
from pydantic import BaseModel

from models.published.checkpoint import Checkpoint
from models.spec import ModelSpec


class InferenceRequest(NamedTuple):
    """One item for a model, and the request that it belongs to.

    Attributes:
        item: Audio, float32 [samples] at the model's rate, or a picture, uint8 [height, width, 3] RGB.
        request_id: For the runner's log; empty when there is none.
        traceparent: The span that it belongs to, as ``core.tracing.traceparent`` gives it; empty when there is none.
    """

    item: NDArray[Any]
    request_id: str = ""
    traceparent: str = ""


class InferenceResult(BaseModel):
    """The answer for one item of a batch, or why there is none: an item never fails its batch-mates.

    Attributes:
        model: Tag of the store entry that answered.
        probabilities: Calibrated, in the order of the model's classes; empty when there is an error.
        extras: Values measured on the way, by name.
        error: What is wrong, if anything is.
        kind: Whether the error is the item's (``invalid``) or the runner's (``failed``).
    """

    model: str
    probabilities: list[float] = []
    extras: dict[str, float] = {}
    error: str | None = None
    kind: Literal["ok", "invalid", "failed"] = "ok"


class ServedModel(BaseModel):
    """The store entry that a runner has opened; the API resolves no tag itself.

    Attributes:
        tag: Name and version.
        checkpoint: How an imported checkpoint differs from the bundled model; None for the bundled one.
    """

    tag: str
    checkpoint: Checkpoint | None = None

    def describe(self, spec: ModelSpec) -> ModelSpec:
        """The model as it is served."""
        return self.checkpoint.describe(spec) if self.checkpoint else spec
