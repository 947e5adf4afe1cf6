"""``data.json``, the file of the latest heart result (C3): whole at every moment, and on the disk once written."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Result = dict[str, Any]

FILE_NAME: Final = "data.json"
STALE_S = 60.0  # a temporary file of this age belongs to a process that died while writing


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored result: its JSON text, and the moment it was stored (microseconds since 1970, exact in a Lua number)."""

    text: str
    at_us: int


class ResultFile:
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
            ValueError: It does not hold a result.
        """
        try:
            with self._path.open(encoding="utf-8") as file:
                text, at_ns = file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return None
        from_text(text)
        return Stored(text, at_ns // 1000)

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


def to_text(result: Mapping[str, Any]) -> str:
    """Writes a result as JSON.

    Raises:
        ValueError: It is not of the form of C3.
    """
    text = json.dumps({"class": result["class"], "confidence": result["confidence"]}, allow_nan=False)
    from_text(text)
    return text


def from_text(text: str) -> Result:
    """Reads a result's JSON.

    Raises:
        ValueError: It is not exactly of the form of C3.
    """
    value = json.loads(text, parse_int=float)
    if not isinstance(value, dict) or set(value) != {"class", "confidence"}:
        raise ValueError("not a result")
    name, confidence = value["class"], value["confidence"]
    if not (isinstance(name, str) and isinstance(confidence, float) and math.isfinite(confidence)):
        raise ValueError("not a result")
    return {"class": name, "confidence": confidence}
