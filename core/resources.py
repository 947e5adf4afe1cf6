"""The cores and the memory that this process may use, by its control groups, and how runners share the cores.

A container is given a part of its machine by control groups.
"""

from __future__ import annotations

import contextlib
import math
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


# Of one process, unless it is configured: each has buffers of its own, and all share one interpreter.
MOST_STREAMS = 4


def cores() -> int:
    """Cores that this process may use, at least one.

    Those that it may run on, and no more than its container has the time of: with ``--cpus=2`` a process still sees all
    cores of the machine, and threads above the quota only make all of them stand still for the rest of each period.
    """
    quotas = (quota(folder) for folder in groups("cpu"))
    return max(1, min([len(os.sched_getaffinity(0)), *(math.ceil(found) for found in quotas if found is not None)]))


def default_threads() -> int:
    """Half of the cores this process may use, at least one: the API process and other runners need the rest."""
    return max(1, cores() // 2)


def default_streams(workers: int, threads: int) -> int:
    """Batches that one process of a runner computes at once: as many as give each thread a core.

    So one model alone can use the whole machine, a short clip is not held up by a long one, and nothing is divided
    among more threads than that needs: networks as small as the bundled ones gain little by a second thread.

    Args:
        workers: Processes of the runner.
        threads: That compute a batch; 0 takes ``default_threads()``.
    """
    return max(1, min(MOST_STREAMS, cores() // (workers * (threads or default_threads()))))


def quota(group: Path) -> float | None:
    """Cores whose time a control group may use; None where it is not limited.

    Args:
        group: Its folder, of version 2 (``cpu.max``) or 1 (``cpu.cfs_quota_us``).
    """
    with contextlib.suppress(OSError):
        most, period = (group / "cpu.max").read_text().split()
        return None if most == "max" else int(most) / int(period)
    with contextlib.suppress(OSError):
        most_us, period_us = (int((group / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return None if most_us < 0 else most_us / period_us
    return None
