"""What is kept in a store and read back: one model for each kind of value, which both writes and validates it.

A store is shared with other programs, other versions and whatever damages a disk. A value that does not
validate is treated as missing. This module loads nothing but pydantic: every process imports it with ``api.schemas``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

HeartClass = Literal["Artifact", "Murmur", "Normal", "Extrahls", "Extrastole"]
SceneClass = Literal["speech", "music", "noise", "silence"]

# A tag of the model store, as BentoML makes it. It becomes a header: no line break, no blank, no control character.
TAG = r"^[a-z0-9_][a-z0-9_.-]{0,127}:[a-z0-9_.-]{1,128}$"


class Kept(BaseModel):
    """A value that is kept: exactly these fields, of exactly these types, and only finite numbers."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )


class Entry(Kept):
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


class SceneEntry(SceneData, Entry):
    """The same in the cache."""
