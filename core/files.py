"""Replacement of a file as a whole: a reader meets the old one or the new one, also after a crash."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

STALE_S = 60.0  # a part of this age belongs to a process that died while writing


def replace_file(path: Path, data: bytes, *, mode: int = 0o666, modified_ns: int | None = None) -> None:
    """Puts a new file in the place of an old one, in one step; when this returns, it survives a crash.

    Args:
        path: The file; its folder is there.
        data: All of its bytes.
        mode: Who may do what with it, less what the process's mask takes away.
        modified_ns: Its time of modification (nanoseconds since 1970), where it is not now.

    Raises:
        OSError: The disk; the old file is left as it was.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            if modified_ns is not None:
                os.utime(file.fileno(), ns=(modified_ns, modified_ns))
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_stale_parts(path: Path) -> None:
    """Removes what processes left beside a file that died while replacing it."""
    for part in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_ctime > STALE_S:
                part.unlink()


def _sync_folder(folder: Path) -> None:
    """Forces a renaming itself to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
