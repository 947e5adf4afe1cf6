"""Completes a folder of weights, as it lies in git, to what an entry of the store holds."""

from __future__ import annotations

import zipfile
from pathlib import Path

from models.encoder import HEAD, assemble
from models.values import IR_OFFSETS, IR_VALUES, filled

KERAS = "model.keras"
KERAS_VALUES = "model.weights.h5"  # in the archive: HDF5, whose arrays lie there as they are


def is_whole(folder: Path) -> bool:
    """Whether nothing is left out of a folder that could be added."""
    return (folder / IR_VALUES).exists() or not any((folder / name).exists() for name in (HEAD, IR_OFFSETS))


def complete(folder: Path) -> None:
    """Adds what git has elsewhere: the encoder that models share, or values that the native file holds as well.

    Args:
        folder: Of a model's weights; one that is whole stays as it is.
    """
    if is_whole(folder):
        return
    if (folder / HEAD).exists():
        assemble.join(folder)
        return
    with zipfile.ZipFile(folder / KERAS) as archive:
        (folder / IR_VALUES).write_bytes(filled(folder / IR_OFFSETS, archive.read(KERAS_VALUES)))
