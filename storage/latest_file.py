"""``data.json``, the file of the latest heart result: whole at every moment, and on the disk once written.

See docs/contract.md, Heart sound.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from pathlib import Path
from typing import Final

from pydantic import Field

from models.results import HeartResult, Kept

FILE_NAME: Final = "data.json"
STALE_S = 60.0  # a temporary file of this age belongs to a process that died while writing


MAX_BYTES = 4096  # a result has some 50; a file or a value that is longer holds none, and is not read whole
LATEST_US: Final = 7_258_118_400_000_000  # the year 2200; exact in a Lua number, and a file can have this time


class Stored(Kept):
    """A stored result.

    Attributes:
        result: Class and confidence.
        at_us: The moment it was stored (microseconds since 1970).
    """

    result: HeartResult
    at_us: int = Field(ge=0, le=LATEST_US)

    @property
    def text(self) -> str:
        """The result in JSON, as the contract shows it."""
        return json.dumps(self.result.model_dump())

    @classmethod
    def read(cls, text: bytes, at_us: int) -> Stored:
        """Reads a result.

        Args:
            text: JSON.
            at_us: The moment it was stored, as the store says.

        Raises:
            ValidationError: They are not what this class writes.
        """
        whole = text if len(text) <= MAX_BYTES else b""
        return cls(result=HeartResult.model_validate_json(whole), at_us=at_us)


class LatestFile:
    """``data.json``; the time of the result is the file's own modification time."""

    def __init__(self, folder: Path) -> None:
        """Takes its place.

        Args:
            folder: Where it is; made when needed.
        """
        self._folder = folder
        self._path = folder / FILE_NAME
        self._swept = False

    def write(self, entry: Stored) -> None:
        """Writes a new file beside the old one, forces it to the disk, and puts it in its place in one step.

        Raises:
            OSError: The disk.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._sweep()
        temporary = self._folder / f".{FILE_NAME}.{secrets.token_hex(8)}.tmp"
        try:
            self._fill(temporary, entry)
            temporary.replace(self._path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._sync_folder()

    def read(self) -> Stored | None:
        """Reads the file, if there is one.

        Raises:
            OSError: The disk.
            ValidationError: It does not hold a result.
        """
        try:
            with open(self._path, "rb", opener=_open_at_once) as file:
                text, at_us = file.read(MAX_BYTES + 1) or b"", os.fstat(file.fileno()).st_mtime_ns // 1000
        except FileNotFoundError:
            return None
        return Stored.read(text, at_us if 0 <= at_us <= LATEST_US else 0)

    @staticmethod
    def _fill(path: Path, entry: Stored) -> None:
        with path.open("x", encoding="utf-8") as file:
            file.write(entry.text)
            file.flush()
            os.utime(file.fileno(), ns=(entry.at_us * 1000, entry.at_us * 1000))
            os.fsync(file.fileno())

    def _sync_folder(self) -> None:
        """Forces the renaming itself to the disk."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Removes what processes left that died while writing."""
        self._swept = True
        for left in self._folder.glob(f".{FILE_NAME}.*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_ctime > STALE_S:
                    left.unlink()


def _open_at_once(path: str, flags: int) -> int:
    """Opens what is there, also a pipe that nothing is written to, which would be waited for without end."""
    return os.open(path, flags | os.O_NONBLOCK)
