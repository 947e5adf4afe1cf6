"""Structured logs: JSON lines on standard error and in a rotating file, each with the ids of its request and trace.

Bodies, keys and URLs with credentials or queries are never logged: callers pass what may be seen, by name, in
``extra``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from core.errors import ServiceError
from core.log_queue import LogQueue
from core.request import CURRENT

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


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request and trace id, and what was passed in ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats one record."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if component := getattr(record, "component", None):
            line["process"] = str(component).strip("[]")
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


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """All but what BentoML makes of a caller's mistake: a trace, which quotes him; the access log has its status."""
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
        logging.getLogger("bundle").warning("no log file: %s", problem)
