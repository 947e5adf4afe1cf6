"""The size of batches that a GPU is given: measured when a model is opened, and remembered.

Models that share a GPU and a ``DATA_DIR``, where the lock is, are measured one after the other: at the same moment each
would time the others' work as well, and find the memory taken by the others' largest batches. Containers without a
shared volume measure at the same moment. What another process loads or answers meanwhile counts in any case.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from core.files import replace_file
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


def measured(
    seconds_of: Callable[[int], float], cost: float, file: Path | None, release: Callable[[], None], **what: str
) -> BatchBounds:
    """Finds the bounds of a model's batches on a device.

    Args:
        seconds_of: As of ``scheduling.batch_size.find``.
        cost: As there.
        file: Where it is remembered, if it is.
        release: Gives back what the largest batch took.
        **what: Is measured: the ``tag`` of the store entry, the ``device`` and the ``engine``.
    """
    if known := _recalled(file, what):
        return known
    with _alone(file, what["device"]):
        if known := _recalled(file, what):  # by another process of the same model, in the meantime
            return known
        try:
            found = find(seconds_of, cost)
        finally:
            release()
        log.info("batches of up to %d items and a cost of %g", *found, extra=what)
        if file is not None:
            _remember(file, Remembered(**what, items=found.items, cost=found.cost))
        return found


def _recalled(file: Path | None, what: dict[str, str]) -> BatchBounds | None:
    """What was found before; None the first time, and where what is there is of no use."""
    try:
        known = None if file is None else Remembered.model_validate_json(file.read_text())
    except (OSError, ValueError):  # pydantic's error is a ValueError, and so is a text that is not UTF-8
        return None
    return BatchBounds(known.items, known.cost) if known and what == known.model_dump(include=set(what)) else None


@contextlib.contextmanager
def _alone(file: Path | None, device: str) -> Iterator[None]:
    """Waits until nothing else is measured on a device; where no lock can be made, it is measured all the same."""
    with contextlib.ExitStack() as stack:
        if file is not None:
            name = re.sub(r"\W+", "-", device)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((file.parent / f".{name}.lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                log.warning("batches are measured beside others: %s", error)
        yield


def _remember(file: Path, found: Remembered) -> None:
    """Writes the file at once and as a whole; where that cannot be done, the next start measures again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, found.model_dump_json().encode())
    except OSError as error:
        log.warning("the size of batches is not remembered: %s", error)
