"""Which files the paths of a command line mean."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path


def expand(paths: Iterable[str], suffixes: Collection[str]) -> Iterator[Path]:
    """Files, in the order of the paths; each once.

    Args:
        paths: Files, folders (with all that is below them) and patterns such as ``clips/*.wav``.
        suffixes: What counts in a folder; a file that is named itself is taken whatever it is called.

    Yields:
        Existing files, and the path itself where there is nothing: reading it will say so.
    """
    seen: set[Path] = set()
    for path in paths:
        for found in _files(path, suffixes):
            if found not in seen:
                seen.add(found)
                yield found


def _files(path: str, suffixes: Collection[str]) -> list[Path]:
    try:
        return _expand(path, suffixes)
    except OSError:  # a name that is too long, a folder that is closed: reading it will say so
        return [Path(path)]


def _expand(path: str, suffixes: Collection[str]) -> list[Path]:
    if Path(path).exists():
        return _below(Path(path), suffixes)
    matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - that of Path takes no absolute patterns
    return [file for match in matches for file in _below(Path(match), suffixes)] or [Path(path)]


def _below(path: Path, suffixes: Collection[str]) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
