"""Which files, addresses and streams the paths of a command line mean."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

ADDRESS = re.compile(r"https?://", re.IGNORECASE)
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine."""

    path: Path

    @property
    def name(self) -> str:
        """What it is called in the output."""
        return str(self.path)

    @property
    def suffix(self) -> str:
        """The end of its name, in lower case."""
        return self.path.suffix.lower()

    def read(self, most: int) -> bytes:
        """Its bytes, ``most`` at most.

        Raises:
            OSError: It cannot be read.
        """
        with self.path.open("rb") as file:
            return file.read(most)


@dataclass(frozen=True, slots=True)
class StandardInput:
    """What is piped into the command."""

    name: str = STANDARD_INPUT
    suffix: str = ""

    def read(self, most: int) -> bytes:
        """Its bytes, ``most`` at most."""
        return sys.stdin.buffer.read(most)


@dataclass(frozen=True, slots=True)
class Url:
    """A file of another server."""

    name: str

    @property
    def suffix(self) -> str:
        """The end of its path, in lower case."""
        return PurePosixPath(urlsplit(self.name).path).suffix.lower()


Source = LocalFile | StandardInput | Url


def expand(paths: Iterable[str], suffixes: Collection[str]) -> Iterator[Source]:
    """Sources, in the order of the paths; each once.

    Args:
        paths: Files, folders (with all that is below them), patterns such as ``clips/*.wav``, addresses, and ``-``.
        suffixes: What counts in a folder; a file that is named itself is taken whatever it is called.

    Yields:
        Existing files, and the path itself where there is nothing: reading it will say so.
    """
    seen: set[Source] = set()
    for path in paths:
        for found in _sources(path, suffixes):
            if found not in seen:
                seen.add(found)
                yield found


def _sources(path: str, suffixes: Collection[str]) -> list[Source]:
    if path == STANDARD_INPUT:
        return [StandardInput()]
    if ADDRESS.match(path):
        return [Url(path)]
    return [LocalFile(found) for found in _files(path, suffixes)]


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
