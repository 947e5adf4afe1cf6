"""Logs: one JSON object a line, in a file that several processes share."""

from __future__ import annotations

import fcntl
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from core import logs
from core.logs import LogQueue
from core.request import CURRENT, RequestState
from tests.support.served import ROOT
from tests.support.spawned import exit_codes, spawned


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def written() -> None:
    """Ends the log, and with it the thread that writes it."""
    for handler in logging.getLogger().handlers:
        handler.close()


def lines(folder: Path) -> list[dict[str, object]]:
    written()
    return [json.loads(line) for line in (folder / logs.FILE_NAME).read_text().splitlines()]


def test_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(tmp_path, "INFO")
    token = CURRENT.set(RequestState("id-1"))
    logging.getLogger("bundle.test").info("hello %s", "world", extra={"source": "http://a", "bytes": 3})
    CURRENT.reset(token)
    (line,) = lines(tmp_path)
    assert line["message"] == "hello world"
    assert (line["level"], line["logger"], line["request_id"]) == ("INFO", "bundle.test", "id-1")
    assert (line["source"], line["bytes"]) == ("http://a", 3)
    assert str(line["time"]).endswith("Z")
    assert json.loads(capsys.readouterr().err) == line


def test_line_ends_stay_inside_a_line(tmp_path: Path) -> None:
    logs.configure(tmp_path, "INFO")
    logging.getLogger("bundle.test").info('one\ntwo\r\n{"forged": 1}\u2028', extra={"odd": "a\nb"})
    assert len(lines(tmp_path)) == 1


def test_a_failure_brings_its_trace(tmp_path: Path) -> None:
    logs.configure(tmp_path, "INFO")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("bundle.test").exception("failed")
    assert "ZeroDivisionError" in str(lines(tmp_path)[0]["exception"])


def test_a_form_that_is_none_leaves_no_line(tmp_path: Path) -> None:
    """The access log has its status; a warning for each told nothing more, and was at its caller's command."""
    logs.configure(tmp_path, "INFO")
    with pytest.raises(MultipartParseError):
        MultipartParser(b"a").write(b"--b\r\n")
    logging.getLogger("bundle.test").info("the only one")
    assert [line["message"] for line in lines(tmp_path)] == ["the only one"]


def test_levels(tmp_path: Path) -> None:
    logs.configure(tmp_path, "WARNING")
    logging.getLogger("bundle.test").info("not this")
    logging.getLogger("elsewhere").info("nor this")
    logging.getLogger("elsewhere").warning("but this")
    assert [line["message"] for line in lines(tmp_path)] == ["but this"]


def test_a_folder_that_cannot_be_written_leaves_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    logs.configure(tmp_path / "file" / "logs", "INFO")
    logging.getLogger("bundle.test").info("still here")
    written()
    assert "still here" in capsys.readouterr().err


@pytest.mark.parametrize("taken", [logs.FILE_NAME, ".__audio_api.lock"])
def test_a_file_that_cannot_be_written_leaves_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: str
) -> None:
    """The folder is there, and cannot be written."""
    (tmp_path / taken).mkdir()
    logs.configure(tmp_path, "INFO")
    logging.getLogger("bundle.test").info("still here")
    written()
    shown = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert shown == [f"no log file: LOG_DIR {tmp_path} cannot be written: Is a directory", "still here"]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Another process that holds the file's lock until it is told to release it."""
    with (tmp_path / ".__audio_api.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lambda: fcntl.flock(lock, fcntl.LOCK_UN)


def test_a_held_lock_of_the_file_holds_up_no_process(tmp_path: Path, held: Callable[[], None]) -> None:
    logs.configure(tmp_path, "INFO")
    for number in range(100):  # it would hang here
        logging.getLogger("bundle.test").info("line %d", number)
    held()
    assert [line["message"] for line in lines(tmp_path)] == [f"line {number}" for number in range(100)]


def test_what_is_too_much_is_dropped_and_counted(
    tmp_path: Path, held: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LogQueue", partial(LogQueue, max_lines=10))
    before = REGISTRY.get_sample_value("bundle_log_dropped_total") or 0
    logs.configure(tmp_path, "INFO")
    for number in range(100):
        logging.getLogger("bundle.test").info("line %d", number)
    held()
    kept = len(lines(tmp_path))
    assert 10 <= kept <= 12  # one or two were taken out of the queue already
    assert (REGISTRY.get_sample_value("bundle_log_dropped_total") or 0) - before == 100 - kept


def test_the_end_of_the_process_does_not_wait_for_the_lock(tmp_path: Path, held: Callable[[], None]) -> None:
    with spawned(write_many, (tmp_path, "stuck")) as processes:
        assert exit_codes(processes) == [0]
    assert (tmp_path / logs.FILE_NAME).read_text() == ""


def test_a_fork_prints_nothing(tmp_path: Path) -> None:
    """As the supervisor forks when it starts a process."""
    program = (
        "import os, sys; from pathlib import Path; from core import logs; "
        f"logs.configure(Path({str(tmp_path)!r}), 'INFO'); pid = os.fork(); pid or os._exit(0); os.waitpid(pid, 0)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""


def write_many(folder: Path, name: str) -> None:
    logs.MAX_BYTES = 20_000
    logs.configure(folder, "INFO")
    for number in range(200):
        logging.getLogger("bundle.test").info("line", extra={"number": number, "who": name, "filler": "x" * 100})


def test_several_processes_write_and_rotate_one_file(tmp_path: Path) -> None:
    with spawned(write_many, *((tmp_path, f"p{i}") for i in range(3))) as processes:
        assert exit_codes(processes) == [0, 0, 0]
    files = sorted(tmp_path.glob(f"{logs.FILE_NAME}*"))
    assert 2 <= len(files) <= logs.KEPT_FILES + 1
    for file in files:
        for line in file.read_text().splitlines():
            assert json.loads(line)["message"] == "line"
