"""The control groups of this process, by which a container is given a part of its machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MINE = Path("/proc/self/cgroup")


def groups(controller: str) -> Iterator[Path]:
    """Yields the control groups of this process and those around them; in a container its own is the root.

    Args:
        controller: Which has a tree of its own in version 1: ``cpu`` or ``memory``.
    """
    yield from (ROOT, ROOT / controller)
    with contextlib.suppress(OSError):
        for line in MINE.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0" or controller in controllers.split(","):
                group = (ROOT if number == "0" else ROOT / controller) / path.strip("/")
                yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(ROOT))


def memory_bytes() -> int:
    """Memory that this process and those in its container may have: of the container, or of the machine (bytes)."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = (_limit(group) for group in groups("memory"))
    return min([machine, *(limit for limit in found if limit is not None)])


def _limit(group: Path) -> int | None:
    """The limit of one group, of version 2 or 1; None where there is none (version 1 then has a huge number)."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        with contextlib.suppress(OSError):
            text = (group / name).read_text().strip()
            return None if text == "max" else int(text)
    return None
