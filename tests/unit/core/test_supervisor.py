"""The supervisor: what was killed is started again soon, what cannot start is not started all the time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from core.settings import Settings, get_settings
from core.supervisor import PAUSE_S, hand_on, warn_of_misspelt

ROOT = Path(__file__).parents[3]

SUPERVISOR = """
import logging
import sys
import bentoml_cli
from bentoml._internal.utils.circus import create_standalone_arbiter
from bentoml.serving import create_watcher
from core import logs, supervisor

bundle = logging.getLogger("bundle")
bundle.propagate = False
shown = logging.StreamHandler()
shown.setFormatter(logs.JsonFormatter())
bundle.addHandler(shown)
supervisor.YOUNG_S = float(sys.argv[2])
supervisor.look_often()
child = ["-c", f"import os, time; print(os.getpid(), flush=True); time.sleep({sys.argv[1]})"]
arbiter = create_standalone_arbiter([create_watcher("child", child, use_sockets=False)])
arbiter.start(cb=lambda _: arbiter.loop.call_later(PAUSE_S, arbiter.loop.stop))
"""


# As circus starts a plugin, such as what reloads: a command without arguments beside it.
PLUGIN = SUPERVISOR.replace(
    "arbiter.start(",
    "(one,) = arbiter.watchers\n"
    "one.cmd, one.args = __import__('shlex').join([sys.executable, *child]), None\n"
    "arbiter.start(",
)

STARTING = """
import os, signal, threading
import bentoml_cli
from bentoml._internal.utils.circus import create_standalone_arbiter
from bentoml.serving import create_watcher
from core import supervisor

supervisor.look_often()
child = ["-c", "import time; time.sleep(600)"]
arbiter = create_standalone_arbiter([create_watcher(f"child{n}", child, use_sockets=False) for n in range(4)])
arbiter.warmup_delay = 1  # seconds from one watcher to the next
threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
arbiter.start()
"""


BEFORE_BENTOML_S = PAUSE_S - 1  # BentoML's own would look again later
COMMANDS = {  # life of the child, and how long one is young (s)
    "lives for a second": [SUPERVISOR.replace("PAUSE_S", str(BEFORE_BENTOML_S)), "1.0", "0.0"],
    "ends at once": [SUPERVISOR.replace("PAUSE_S", str(BEFORE_BENTOML_S)), "0.0", "60.0"],
    "has no arguments": [PLUGIN.replace("PAUSE_S", "2"), "0.0", "60.0"],
    "a signal comes": [STARTING],
}
Ended = Mapping[str, Future[subprocess.CompletedProcess[str]]]


@pytest.fixture(scope="module")
def ended() -> Iterator[Ended]:
    """What becomes of the supervisors, all at once, as they wait most of the time. A hanging one fails its own test."""

    def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", *arguments]
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=60)

    with ThreadPoolExecutor(len(COMMANDS)) as crowd:
        yield {name: crowd.submit(run, arguments) for name, arguments in COMMANDS.items()}


def starts(done: subprocess.CompletedProcess[str]) -> int:
    """How often a supervisor has started its process."""
    return len(set(done.stdout.split()))


def test_what_has_ended_is_started_again_soon(ended: Ended) -> None:
    assert starts(ended["lives for a second"].result()) > 1


def test_what_ends_at_once_is_left_alone_for_a_while(ended: Ended) -> None:
    assert starts(ended["ends at once"].result()) == 1


@pytest.mark.parametrize("kind", ["ends at once", "has no arguments"])
def test_how_a_process_ended_is_logged_once(ended: Ended, kind: str) -> None:
    """Also while it is left alone."""
    done = ended[kind].result()
    (line,) = [json.loads(line) for line in done.stderr.splitlines() if "has ended" in line]
    assert (line["level"], line["service"], line["exit_code"]) == ("WARNING", "child", 0)
    assert str(line["pid"]) in done.stdout


def test_a_signal_that_comes_while_processes_are_started_is_not_lost(ended: Ended) -> None:
    done = ended["a signal comes"].result()
    assert done.returncode == 0, done.stderr


def test_files_and_settings_of_the_folder_hold_in_processes_that_work_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BentoML starts those of a built bento in the bento's own folder, where there is no ``.env``."""
    for name in ("LOG_DIR", "DATA_DIR", "KEY_STORE", "API_KEY", "PORT"):
        monkeypatch.setenv(name, "")  # so that it is put back at the end
    monkeypatch.setenv("PORT", "4001")
    monkeypatch.setitem(sys.modules, "bentoml_cli", sys)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("API_KEY=secret\nPORT=4000\nKEY_STORE=keys.json\nLOG_DIR=notes\n")
    get_settings.cache_clear()
    try:
        hand_on()
    finally:
        get_settings.cache_clear()  # before anything can fail
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = Settings()
    assert found.keys == ("secret",)
    assert found.port == 4001
    assert (found.log_dir, found.data_dir) == (tmp_path / "notes", tmp_path / "data")
    assert found.key_store == str(tmp_path / "keys.json")
    assert os.environ["LOG_DIR"] == str(tmp_path / "notes")


def test_a_misspelt_name_in_the_file_is_named_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Names that others read from the same file are none of ours."""
    monkeypatch.chdir(tmp_path)
    names = ("QUEUE_LATENCY", "API_KY", "PORT", "data_dir", "DATASETS_DIR", "COMPOSE_PROJECT_NAME", "OTEL_SERVICE_NAME")
    (tmp_path / ".env").write_text("".join(f"{name}=hunter2\n" for name in names))
    warn_of_misspelt()
    assert caplog.messages == []  # but for the supervisor, which is the only one to say it
    monkeypatch.setitem(sys.modules, "bentoml_cli", sys)
    warn_of_misspelt()
    assert caplog.messages == [
        "QUEUE_LATENCY in .env is ignored, the setting is called QUEUE_LATENCY_S",
        "API_KY in .env is ignored, the setting is called API_KEY",
    ]
