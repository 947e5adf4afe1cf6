"""Processes that run a function of a test; none outlives its test, whatever becomes of it."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import SpawnProcess
from typing import Any

SPAWN = multiprocessing.get_context("spawn")
END_S = 60.0


@contextlib.contextmanager
def spawned(target: Callable[..., None], *calls: Sequence[Any]) -> Iterator[list[SpawnProcess]]:
    """Starts a process for each call's arguments; in the end those that still run are killed."""
    processes = [SPAWN.Process(target=target, args=tuple(call), daemon=True) for call in calls]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join()


def exit_codes(processes: Sequence[SpawnProcess]) -> list[int | None]:
    """Waits for processes; None for one that does not end within ``END_S``."""
    for process in processes:
        process.join(END_S)
    return [process.exitcode for process in processes]
