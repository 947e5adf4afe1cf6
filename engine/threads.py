"""How many cores there are, and how runners share them."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

from core.cgroups import groups

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
