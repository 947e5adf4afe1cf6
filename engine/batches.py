"""The size of batches that a GPU is given: measured when a model is opened, and remembered."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from core.settings import BatchBounds
from scheduling.batch_size import find

log = logging.getLogger("bundle.engine")


class Remembered(BaseModel):
    """What was found, and of what: another entry, device or arithmetic is measured anew."""

    model_config = ConfigDict(extra="forbid")

    tag: str
    device: str
    engine: str
    items: int = Field(ge=1)
    cost: float = Field(gt=0)


def measured(seconds_of: Callable[[int], float], cost: float, file: Path | None, **what: str) -> BatchBounds:
    """Finds the bounds of a model's batches on a device.

    Args:
        seconds_of: As of ``scheduling.batch_size.find``.
        cost: As there.
        file: Where it is remembered, if it is.
        **what: Is measured: the ``tag`` of the store entry, the ``device`` and the ``engine``.
    """
    try:
        known = None if file is None else Remembered.model_validate_json(file.read_text())
        if known and what == known.model_dump(include=set(what)):
            return BatchBounds(known.items, known.cost)
    except (OSError, ValueError):  # pydantic's error is a ValueError, and so is a text that is not UTF-8
        pass  # it is the first time, or what is there is of no use
    found = find(seconds_of, cost)
    log.info("batches of up to %d items and a cost of %g", *found, extra=what)
    if file is not None:
        _remember(file, Remembered(**what, items=found.items, cost=found.cost))
    return found


def _remember(file: Path, found: Remembered) -> None:
    """Writes the file at once and as a whole; where that cannot be done, the next start measures again."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(found.model_dump_json())
        part.replace(file)
    except OSError as error:
        log.warning("the size of batches is not remembered: %s", error)
