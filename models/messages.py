"""What passes between the API process and a runner, and what is kept in a store and read back.

A store is shared with other programs, other versions and whatever damages a disk. Each kind of value has one model,
which both writes and validates it; a value that does not validate is treated as missing.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from core.settings import BatchBounds
from models.published.checkpoint import Checkpoint
from models.spec import ModelSpec


class InferenceRequest(NamedTuple):
    """One item for a model, and the request that it belongs to.

    Attributes:
        item: Audio, float32 [samples] at the model's rate, or a picture, uint8 [height, width, 3] RGB.
        request_id: For the runner's log; empty when there is none.
        traceparent: The span that it belongs to, as ``core.tracing.traceparent`` gives it; empty when there is none.
        cost: What it costs the runner, as of ``models.spec.cost``. New fields come last and have a default: while a
            release rolls out, API and runners are of two versions.
    """

    item: NDArray[Any]
    request_id: str = ""
    traceparent: str = ""
    cost: float = 1.0


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
        batches: The bounds of a batch that pay on its device; None where the usual ones hold.
    """

    tag: str
    checkpoint: Checkpoint | None = None
    batches: BatchBounds | None = None

    def describe(self, spec: ModelSpec) -> ModelSpec:
        """The model as it is served."""
        return self.checkpoint.describe(spec) if self.checkpoint else spec


HeartClass = Literal["Artifact", "Murmur", "Normal", "Extrahls", "Extrastole"]
SceneClass = Literal["speech", "music", "noise", "silence"]

# A tag of the model store, as BentoML makes it. It becomes a header: no line break, no blank, no control character.
TAG = r"^[a-z0-9_][a-z0-9_.-]{0,127}:[a-z0-9_.-]{1,128}$"


class Kept(BaseModel):
    """A value that is kept: exactly these fields, of exactly these types, and only finite numbers."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )


class CacheEntry(Kept):
    """A result in the cache.

    Attributes:
        model: Tag of the store entry that gave it.
    """

    model: str = Field(pattern=TAG)


class HeartResult(Kept):
    """Answer of `/upload_audio` in JSON, and the latest prediction."""

    class_: HeartClass = Field(alias="class")
    confidence: float = Field(ge=0, le=100, description="Percent.")


class SceneData(Kept):
    """What the recording is."""

    duration: float = Field(ge=0, description="Seconds.")
    sample_rate: int = Field(ge=1, description="Of the source file (Hz).")
    channels: int = Field(ge=1, description="Of the source file.")
    classification: SceneClass


class SceneEntry(SceneData, CacheEntry):
    """The same in the cache."""
