"""Starts the bundle as its users do, with all its processes, in folders of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.redis_server import free_port

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parents[1] / "data"
BENTOML = str(Path(sys.executable).parent / "bentoml")

KEY = "first-key-7f3a91"
SECOND_KEY = "second-key-c04e"
START_S = 240.0  # a start takes 5 s, and 30 s with the native engine; much more on a busy machine
STOP_S = 60.0

# Settings that a developer's own ``.env`` or shell must not reach are removed, and these take their place.
SETTINGS = {
    "API_KEY": KEY,
    "API_KEYS": f"{SECOND_KEY}, third-key-99",
    "ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
}
# All models in one process, for tests that do not care which process answers: it starts in less than half the time.
TOGETHER = {"RUNNERS_TOGETHER": "all"}


@dataclass
class Bundle:
    """A running server.

    Attributes:
        folder: Holds its data, logs, temporary files and BentoML home.
        port: Where it listens.
        process: The program that was started; the others are its descendants.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        """``DATA_DIR``."""
        return self.folder / "data"

    @property
    def temporary_dir(self) -> Path:
        """Where its processes put temporary files."""
        return self.folder / "tmp"

    @property
    def log_file(self) -> Path:
        """The rotating log file."""
        return self.folder / "logs" / "audio_api.log"

    @property
    def stderr(self) -> str:
        """What it has printed."""
        return (self.folder / "serve.log").read_text(errors="replace")

    def log_lines(self) -> list[dict[str, Any]]:
        """The log file, parsed."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def log_of(self, request_id: str) -> list[dict[str, Any]]:
        """The log lines of one request; the last one is written just after the answer was sent."""
        wait_for(lambda: any(self._is_access_line(line, request_id) for line in self.log_lines()))
        return [line for line in self.log_lines() if line.get("request_id") == request_id]

    @staticmethod
    def _is_access_line(line: dict[str, Any], request_id: str) -> bool:
        return line.get("request_id") == request_id and line["logger"] == "bundle.access"

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client for it."""
        return httpx.Client(base_url=self.url, **{"timeout": 90, **options})

    def workers(self, service: str) -> list[int]:
        """Process ids of one service's workers; ``MediaClassifier`` is the API."""
        found = []
        for pid in descendants(self.process.pid):
            arguments = command_line(pid)
            if "--service-name" in arguments and arguments[arguments.index("--service-name") + 1] == service:
                found.append(pid)
        return found

    def is_ready(self) -> bool:
        """Whether every model answers."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        return False

    def wait_until_ready(self) -> None:
        """Returns when every model answers."""
        wait_for(lambda: self.process.poll() is not None or self.is_ready(), START_S, why=lambda: self.stderr[-4000:])
        assert self.process.poll() is None, self.stderr[-4000:]

    def stop(self) -> int:
        """Ends it as ``kill`` and Ctrl-C do; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def end(self) -> None:
        """Ends it whatever state it is in."""
        pids = descendants(self.process.pid)
        try:
            self.stop()
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def environment(folder: Path, port: int, settings: dict[str, str]) -> dict[str, str]:
    """The variables that a bundle in a folder is started with."""
    from core.settings import Settings

    own = {name.upper() for name in Settings.model_fields} | {
        "PYTHONWARNINGS", "PROMETHEUS_MULTIPROC_DIR", "OPENBLAS_NUM_THREADS",
    }  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if name not in own and not name.startswith("OTEL_")}
    (folder / "tmp").mkdir(exist_ok=True)
    return inherited | {
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "TMPDIR": str(folder / "tmp"),
        "PORT": str(port),
        "DATA_DIR": str(folder / "data"),
        "LOG_DIR": str(folder / "logs"),
        **{name: value for name, value in settings.items() if value},
    }


@contextlib.contextmanager
def serve(store: Path, settings: dict[str, str], target: str | None = None, *, source: Path = ROOT) -> Iterator[Bundle]:
    """Serves the source tree, or a built bento.

    Args:
        store: A BentoML home whose models (and bentos) are used.
        settings: Environment variables, over ``SETTINGS``; an empty value removes one.
        target: Tag of a bento; the source tree when there is none.
        source: The source tree.
    """
    with tempfile.TemporaryDirectory(prefix="bundle-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        shutil.copytree(store, folder / "bentoml", copy_function=os.link)
        port = free_port()
        variables = environment(folder, port, SETTINGS | settings)
        if target is None:
            variables["PYTHONPATH"] = str(source)  # the working folder is empty: no ``.env`` of a developer is read
        with (folder / "serve.log").open("wb") as output:
            process = subprocess.Popen(  # the module: the benchmark's environment has no script of BentoML's own
                [sys.executable, "-m", "bentoml", "serve", target or "service:MediaClassifier"],
                cwd=folder / "tmp", env=variables, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        bundle = Bundle(folder, port, process)
        try:
            bundle.wait_until_ready()
            yield bundle
        finally:
            bundle.end()


def command_line(pid: int) -> list[str]:
    """A process's arguments, cut at spaces too: a copy of the fork server has them so; none when it has gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").split()
    return []


def descendants(root: int) -> list[int]:
    """Children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, left = [], [root]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def wait_for(
    condition: Callable[[], object], timeout_s: float = 10.0, *, why: Callable[[], object] = lambda: "it took too long"
) -> None:
    """Looks again and again until a condition holds.

    Raises:
        AssertionError: It does not within the time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)
