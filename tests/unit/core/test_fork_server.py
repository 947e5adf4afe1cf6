"""The fork server: its copies are what the supervisor would have started, and without it all goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from core import fork_server, left_out
from core.fork_server import ForkServer
from core.settings import Settings
from runners.configuration import preloaded
from tests.support.served import ROOT, command_line, wait_for

PROGRAM = "tests.support.copied"
Usual = list[tuple[Any, ...]]


@pytest.fixture
def usual() -> Usual:
    """What was started as BentoML does."""
    return []


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch, usual: Usual) -> Iterator[Callable[..., ForkServer]]:
    """Makes fork servers, which end after the test."""
    monkeypatch.setattr(left_out, "WORKER", PROGRAM)
    assert fork_server.adopt()
    made = []

    def make(*names: str) -> ForkServer:
        made.append(ForkServer(names, lambda *arguments, **_: usual.append(arguments)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket for a worker."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def start(server: ForkServer, listening: socket.socket, folder: Path, *extra: str) -> tuple[Any, dict[str, Any]]:
    """A copy, and what it has found."""
    written = folder / f"found-{len(list(folder.iterdir()))}.json"
    arguments = [sys.executable, "-m", PROGRAM, "--fd", str(listening.fileno()), *extra, str(written)]
    environment = os.environ | {"ONLY_HERE": "yes", "PYTHONPATH": str(ROOT)}
    copy = server.start(arguments, cwd=str(folder), env=environment, shell=False)
    if copy is None:
        return None, {}
    wait_for(written.exists, 20)
    return copy, json.loads(written.read_text())


def test_a_copy_is_what_the_supervisor_would_have_started(
    serving: Callable[..., ForkServer], listening: socket.socket, tmp_path: Path, usual: Usual
) -> None:
    copy, found = start(serving("colorsys"), listening, tmp_path, "--service-name", "One", "two words")
    assert found["arguments"][:1] == ["--fd"]
    assert found["arguments"][2:5] == ["--service-name", "One", "two words"]
    assert found["socket"] == list(listening.getsockname())
    assert (found["folder"], found["path"]) == (str(tmp_path), str(tmp_path))
    assert found["environment"]["ONLY_HERE"] == "yes"
    assert (found["name"], found["input"], found["session"], found["parent"]) == ("__main__", "", True, os.getpid())
    assert "colorsys" in found["modules"]
    assert copy.wait(20) == 3
    assert not usual


def test_it_can_be_found_by_its_arguments_signalled_and_waited_for(
    serving: Callable[..., ForkServer], listening: socket.socket, tmp_path: Path
) -> None:
    copy, _ = start(serving(), listening, tmp_path, "--service-name", "One", "wait")
    arguments = command_line(copy.pid)
    assert arguments[arguments.index("--service-name") + 1] == "One"
    assert copy.poll() is None
    copy.send_signal(signal.SIGKILL)
    wait_for(lambda: copy.poll() is not None, 20)
    assert (copy.poll(), copy.returncode) == (-signal.SIGKILL, -signal.SIGKILL)


def test_copies_have_one_origin_and_a_killed_one_is_replaced(
    serving: Callable[..., ForkServer], listening: socket.socket, tmp_path: Path, usual: Usual
) -> None:
    server = serving()
    start(server, listening, tmp_path)
    (origin,) = _origins()
    start(server, listening, tmp_path)
    assert _origins() == [origin]
    origin.kill()
    origin.wait(20)
    copy, _ = start(server, listening, tmp_path)
    assert copy.wait(20) == 3
    assert not usual


def test_it_ends_by_itself_with_who_began_it(
    serving: Callable[..., ForkServer], listening: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copies hold no end of the line on which it waits."""
    monkeypatch.setattr(fork_server, "ENDS_S", 20.0)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda process: pytest.fail(f"{process.args} had to be killed"))
    server = serving()
    copy, _ = start(server, listening, tmp_path, "wait")
    (origin,) = _origins()
    server.close()
    assert not origin.is_running()
    assert copy.poll() is None
    copy.kill()
    copy.wait(20)


@pytest.mark.parametrize("name", ["no.such.module", "tests.support.threaded"])
def test_where_it_cannot_serve_workers_are_started_as_ever(
    serving: Callable[..., ForkServer], listening: socket.socket, tmp_path: Path, usual: Usual, name: str
) -> None:
    """A module that starts a thread is not copied: the copy would have its locks and not the thread."""
    copy, _ = start(serving(name), listening, tmp_path)
    assert copy is None
    assert len(usual) == 1


def test_other_programs_are_started_as_ever(serving: Callable[..., ForkServer], usual: Usual) -> None:
    serving().start([sys.executable, "-m", "json.tool"], cwd="/", env={})
    assert usual == [([sys.executable, "-m", "json.tool"],)]


@pytest.mark.parametrize(("engine", "has"), [("compiled", True), ("native", False)])
def test_what_all_workers_need_may_be_copied(
    serving: Callable[..., ForkServer], listening: socket.socket, tmp_path: Path, engine: str, has: bool
) -> None:
    """No thread, and no code of ours: a worker that is started again is to have that of the disk."""
    copy, found = start(serving(*preloaded(Settings(engine=engine))), listening, tmp_path)
    assert copy.wait(20) == 3
    assert {"bentoml", "uvicorn", "numpy"} <= set(found["modules"])
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"core", "tests"}
    assert not packages & {name.partition(".")[0] for name in found["modules"]}
    assert {name for name in found["modules"] if name.startswith("core.")} == {"core.left_out"}
    assert ("openvino" in found["modules"]) == has


def _origins() -> list[psutil.Process]:
    """The fork servers that are children of this process."""
    children = psutil.Process().children()
    return [child for child in children if fork_server.__name__ in command_line(child.pid)]
