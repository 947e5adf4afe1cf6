"""How runners share the cores."""

from __future__ import annotations

import os


def default_threads() -> int:
    """Half of the cores this process may use, at least one: the API process and other runners need the rest."""
    return max(1, len(os.sched_getaffinity(0)) // 2)
