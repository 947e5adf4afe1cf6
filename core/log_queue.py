"""Log lines wait in a queue for a thread that writes them, so that no lock, pipe or disk holds up who logs."""

from __future__ import annotations

import atexit
import contextlib
import logging
import queue
from collections.abc import Sequence
from logging.handlers import QueueHandler, QueueListener

from core import metrics

MAX_LINES = 10_000  # some 5 MB; a disk that stands still for a second delays 1,000 to 2,000
END_S = 2.0  # for what is left when the process ends


class _NoLock:
    """In the place of a lock that one thread alone would take."""

    def acquire(self) -> None:
        """Returns at once."""

    def release(self) -> None:
        """Returns at once."""

    def _at_fork_reinit(self) -> None:
        """What ``logging`` asks of each handler's lock in a forked process."""


class LogQueue(QueueHandler):
    """Formats a record where it is logged, and leaves the writing to a thread; what is too much is dropped.

    Args:
        targets: Handlers that write; used by the thread alone.
        max_lines: Most lines that wait.
    """

    def __init__(self, targets: Sequence[logging.Handler], max_lines: int = MAX_LINES) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(max_lines)
        super().__init__(self._lines)
        self._targets = targets
        for target in targets:  # else ``logging`` waits at the end of the process for a thread that cannot write
            target.lock = _NoLock()  # type: ignore[assignment]
        self._listener = QueueListener(self._lines, *targets)
        self._listener.start()
        atexit.register(self.close)

    def enqueue(self, record: logging.LogRecord) -> None:
        """Puts a line into the queue, or counts it as dropped."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            metrics.LOG_DROPPED.inc()

    def close(self) -> None:
        """Writes what waits, as far as that is possible in a moment."""
        atexit.unregister(self.close)
        thread = self._listener._thread
        if thread is not None:
            with contextlib.suppress(queue.Full):
                self._lines.put(None, timeout=END_S)
            thread.join(END_S)
            self._listener._thread = None
            if not thread.is_alive():
                for target in self._targets:
                    target.close()
        super().close()
