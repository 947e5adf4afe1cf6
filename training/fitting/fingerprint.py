"""Names of files that keep what was made of data sets, so that nothing is taken for what it was not made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


def keyed(path: Path, data: Path, sets: Sequence[str], **arguments: object) -> Path:
    """A file name that changes with what the file is made of.

    Args:
        path: The name without a key, such as ``bank.npz``.
        data: Folder of all data sets.
        sets: Those that are read; one that is not there counts as empty.
        arguments: Whatever else decides the contents, by name: the seed, numbers of copies.

    Returns:
        The path with a dash and 12 hexadecimal digits before its suffix, as ``bank-0123456789ab.npz``.
    """
    found = hashlib.sha256(repr(sorted(arguments.items())).encode())
    for name in sets:
        manifest = data / name / "manifest.csv"
        contents = manifest.read_bytes() if manifest.exists() else b""
        found.update(f"\n{name} {len(contents)}\n".encode() + contents)
    return path.with_stem(f"{path.stem}-{found.hexdigest()[:12]}")
