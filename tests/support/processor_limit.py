"""A plugin of pytest for `make mutants`: ends the process where a test takes too much processor time.

A changed program often loops for ever within a task of the event loop. An error that an alarm raises there is kept as
that task's, and the next task turns on. Processor time, unlike the clock, does not depend on how busy the machine is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from types import FrameType

import pytest

LIMIT_S = 5.0  # no test that `make mutants` runs takes 2 s
STDERR = os.dup(2)  # before pytest captures it


def _end(number: int, frame: FrameType | None) -> None:
    """Ends the process as a test that fails does."""
    os.write(STDERR, f"a test took {LIMIT_S:g} s of processor time\n".encode())
    os._exit(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measures each test, with what its fixtures need."""
    signal.signal(signal.SIGPROF, _end)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
