"""Structured logs: JSON lines on standard error and in a rotating file, each with the ids of its request and trace.

Bodies, keys and URLs with credentials or queries are never logged: callers pass what may be seen, by name, in
``extra``. Lines wait in a queue for a thread that writes them, so that no lock, pipe or disk holds up who logs.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import queue
import sys
import time
from collections.abc import Sequence
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path

from pydantic import ValidationError

from core import metrics
from core.errors import ServiceError
from core.left_out import is_worker
from core.request import CURRENT

MAX_LINES = 10_000  # some 5 MB; a disk that stands still for a second delays 1,000 to 2,000
END_S = 2.0  # for what is left when the process ends


class _NoLock:
    """Takes the place of a lock that only one thread would use."""

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
        thread = self._listener._thread  # noqa: SLF001 - ``stop`` of the standard library waits without a bound
        if thread is not None:
            with contextlib.suppress(queue.Full):
                self._lines.put(None, timeout=END_S)
            thread.join(END_S)
            self._listener._thread = None  # noqa: SLF001
            if not thread.is_alive():
                for target in self._targets:
                    target.close()
        super().close()


# portalocker, by which the handler locks its file, imports all of redis for a lock that is not used, wherever
# that is installed: 0.1 s in each of the server's processes, and they start all at once. It does without.
sys.modules.setdefault("portalocker.redis", None)  # type: ignore[arg-type]  # None makes an import fail

from concurrent_log_handler import ConcurrentRotatingFileHandler  # noqa: E402 - after that

FILE_NAME = "audio_api.log"
MAX_BYTES = 10 * (1 << 20)
KEPT_FILES = 5

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName", "color_message"),
    # what BentoML's record factory adds
    *("levelname_bracketed", "component", "trace_msg", "request_id", "service_name"),
}


def service_of(arguments: Sequence[str]) -> str | None:
    """The service that BentoML's supervisor starts a process for, by the arguments of its program."""
    arguments = list(arguments)
    return arguments[arguments.index("--service-name") + 1] if "--service-name" in arguments[:-1] else None


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, process, ids, and what was passed in ``extra``."""

    def __init__(self) -> None:
        super().__init__()
        # BentoML has the name in a context variable: not before the service is loaded, and not in other threads.
        self._process = (is_worker() and service_of(sys.argv)) or "supervisor"

    def format(self, record: logging.LogRecord) -> str:
        """Formats one record."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": self._process,
        }
        if (request := CURRENT.get()) is not None:
            line["request_id"] = request.id
            if request.trace_id:
                line["trace_id"] = request.trace_id
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _without_input(self.formatException(record.exc_info), record.exc_info[1])
        return json.dumps(line, default=str)


def _without_input(trace: str, error: BaseException) -> str:
    """A trace without what a caller has sent, which Pydantic quotes."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, ValidationError):
            trace = trace.replace(str(link), f"{link.error_count()} wrong values in {link.title}")
        link = link.__cause__ or link.__context__
    return trace


# What uvicorn calls an error of a WebSocket: one that was refused, and one whose caller sends a text that is none.
OF_SOCKETS = frozenset(
    {"ASGI callable returned without completing handshake.", "Invalid UTF-8 sequence received from client."}
)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """All but what BentoML, uvicorn and the parser of forms log of a caller's mistake: the access log has its status.

    BentoML's are traces that quote the input.
    """
    if record.name.startswith("python_multipart") or (record.name == "uvicorn.error" and record.msg in OF_SOCKETS):
        return False
    error = record.exc_info[1] if record.exc_info else None
    return not (record.name.startswith("bentoml") and isinstance(error, ServiceError) and error.status < 500)


def _file_handler(folder: Path) -> logging.Handler:
    """The rotating file, which can be written.

    Raises:
        OSError: It cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = ConcurrentRotatingFileHandler(str(folder / FILE_NAME), "a", MAX_BYTES, KEPT_FILES, encoding="utf-8")
    for path in (handler.baseFilename, handler.lockFilename):  # it opens them with the first record, too late to tell
        with Path(path).open("a"):
            pass
    return handler


def configure(folder: Path, level: str) -> None:
    """Sends every log line of this process to standard error and to the rotating file.

    The file is shared by all processes of the server, so its handler takes a lock around writing and rotating: in a
    thread of its own, for another process may hold the lock for any time.

    Args:
        folder: Where the file lies; made when it is missing. A folder that cannot be written leaves standard error.
        level: Least severe level.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    problem = None
    try:
        handlers.append(_file_handler(folder))
    except OSError as error:
        problem = error.strerror
    waiting = LogQueue(handlers)
    waiting.setFormatter(JsonFormatter())
    waiting.addFilter(_is_worth_a_line)
    root = logging.getLogger()
    root.handlers[:] = [waiting]
    root.setLevel(logging.WARNING)
    for name in list(root.manager.loggerDict):
        logger = logging.getLogger(name)
        if logger.handlers:  # BentoML and uvicorn bring their own, in another form
            logger.handlers.clear()
            logger.propagate = True
    for name in ("bundle", "bentoml"):
        logging.getLogger(name).setLevel(level)
    if problem:
        logging.getLogger("bundle").warning("no log file: LOG_DIR %s cannot be written: %s", folder, problem)
