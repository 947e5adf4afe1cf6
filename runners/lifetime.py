"""The start and the end of a runner's process, which ends after the API's.

The supervisor sends SIGTERM to all its processes at once. The API finishes what is in flight. Some of it reaches its
runner only after the signal: a recording that is still being downloaded or decoded, or that waits in the queue. So a
runner outlives the API process beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import bentoml

from core import tracing
from core.logs import service_of
from core.settings import get_settings

API = "MediaClassifier"  # name of the service that asks the runners (``service.py``)
LOOK_EVERY_S = 0.1
RETRY_S = 10.0  # between two starts of a runner whose model cannot be served

_endings: set[asyncio.Task[None]] = set()


def outlive_api(at_most_s: float) -> None:
    """Puts off the end of this process until no API process of the same supervisor is left.

    To be called in the main thread, when the server has set its own handler of SIGTERM. Where there is no ``/proc``,
    or no API beside it (runners on a host of their own), nothing is put off.

    Args:
        at_most_s: Longest time (seconds).
    """
    end = signal.getsignal(signal.SIGTERM)
    if not callable(end) or threading.current_thread() is not threading.main_thread():
        return  # not a server's process: a test or a tool
    loop = asyncio.get_running_loop()
    supervisor = os.getppid()

    async def wait() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                while api_is_alive(supervisor):  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(LOOK_EVERY_S)
        end(signal.SIGTERM, None)

    def put_off(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(lambda: _endings.add(asyncio.ensure_future(wait())))

    signal.signal(signal.SIGTERM, put_off)


def api_is_alive(supervisor: int) -> bool:
    """Whether a child of the supervisor is an API process."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            # Of a copy they are one string, with spaces (``core.fork_server``).
            arguments = (process / "cmdline").read_text().replace("\0", " ").split()
            if parent == supervisor and service_of(arguments) == API:
                return True
    return False


def give_up() -> NoReturn:
    """Ends a process that cannot serve, without the stack trace that every exception of a start becomes.

    The supervisor starts it again at once, which costs seconds of processor time; so this waits first.
    """
    logging.shutdown()
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(RETRY_S)
    os._exit(1)


class RunnerProcess:
    """What happens at the start and at the end of a runner's process."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def outlive_api(self) -> None:
        """Goes on answering after SIGTERM until the API has finished what is in flight."""
        outlive_api(get_settings().request_timeout_s)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def finish_traces(self) -> None:
        """Exports the spans that are left."""
        tracing.stop()
