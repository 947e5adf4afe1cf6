"""What a runner answers for one item."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Outcome(BaseModel):
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
