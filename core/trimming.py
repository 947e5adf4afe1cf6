"""Gives freed memory back to the operating system once a process has had nothing to do for a while.

glibc keeps what is freed below something that is still in use. An engine frees the buffers of one shape when it meets a
larger one, and the speech encoder, having met clips of up to 15 s, held 410 MB of which it used 230.
"""

from __future__ import annotations

import ctypes
import functools
import time
from threading import Event, Thread

# Giving back takes milliseconds, and so does taking again; in a pause nothing waits for either.
QUIET_S = 5.0


class Trimmer:
    """Trims the heap after each spell of work; its thread sleeps as long as there is none.

    Args:
        quiet_s: How long there has to have been none (seconds).
    """

    def __init__(self, quiet_s: float = QUIET_S) -> None:
        self._quiet_s = quiet_s
        self._worked = Event()
        try:
            self._trim = ctypes.CDLL(None).malloc_trim
        except (AttributeError, OSError):  # another C library
            return
        Thread(target=self._run, name="trim", daemon=True).start()

    def note_work(self) -> None:
        """Says that something has been done; to be called in any thread."""
        self._worked.set()

    def _run(self) -> None:
        while self._worked.wait():
            while self._worked.is_set():
                self._worked.clear()
                time.sleep(self._quiet_s)
            self._trim(0)


@functools.cache
def trimmer() -> Trimmer:
    """The one of this process, made when it is first asked for."""
    return Trimmer()
