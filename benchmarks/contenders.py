"""The bundle and its peers as programs: how each is started, asked and frozen while others are measured."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import clips
from benchmarks.processes import Tree
from benchmarks.workloads import ROOT, STORE, Workload

READY_S = 120.0
ANSWER_S = 120.0
CLIENTS_S = 60.0  # for clients to start and to end, beyond the time that they ask and wait


class Failed(RuntimeError):  # noqa: N818 - it names what happened to a contender
    """A contender that cannot take part; the message says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to serve.

    Attributes:
        name: In tables and on the command line.
        title: For people.
        module: The peer's program; empty for the bundle.
        package: Without which it cannot take part.
        arguments: After the module, ``PORT`` for the port.
        raw: It takes the file itself as body, not a form.
        variables: Of its environment.
        most_clients: Above which it is not asked: every request is a process with the model in it.
    """

    name: str
    title: str
    module: str = ""
    package: str = ""
    arguments: tuple[str, ...] = ("PORT",)
    raw: bool = False
    variables: tuple[tuple[str, str], ...] = ()
    most_clients: int = 1000


COMPILED = (("BENCH_ENGINE", "compiled"),)
MOSEC = ("--port", "PORT", "--timeout", "600000")  # milliseconds: as patient as the others
KINDS = {
    kind.name: kind
    for kind in (
        Kind("bundle", "this bundle"),
        Kind("fastapi", "FastAPI + transformers pipeline", "fastapi_app", "uvicorn"),
        Kind("litserve", "LitServe", "litserve_app", "litserve"),
        Kind("mosec", "mosec", "mosec_app", "mosec", MOSEC, raw=True),
        Kind("ray", "Ray Serve", "ray_app", "ray"),
        Kind("mosec-openvino", "mosec with this bundle's engine", "mosec_app", "mosec", MOSEC, True, COMPILED),
        Kind("process", "a process per request", "process_app", "uvicorn", most_clients=1),
    )
}  # fmt: skip


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Contender:
    """A server that is running.

    Attributes:
        kind: What it is.
        workload: What it answers.
        extra: Further variables of its environment.
    """

    kind: Kind
    workload: Workload
    extra: Mapping[str, str] = field(default_factory=dict)
    ready_s: float = 0.0

    def start(self) -> None:
        """Starts it and waits for its first good answer.

        Raises:
            Failed: It is not installed, ends, or does not answer.
        """
        if self.kind.package and importlib.util.find_spec(self.kind.package) is None:
            raise Failed(f"{self.kind.package} is not installed")
        self._port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.kind.name}-"))
        started = time.perf_counter()
        self.tree = Tree(self._command(), self._variables(), self._folder)
        try:
            self._wait(started)
        except Failed:
            self.end()
            raise
        self.ready_s = time.perf_counter() - started

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}{'/inference' if self.kind.raw else self._route}"

    @property
    def _route(self) -> str:
        return "/" if self.kind.module else self.workload.route

    def freeze(self) -> None:
        """Stops all its processes: what is not measured takes no processor time."""
        self.tree.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets them go on."""
        self.tree.send(signal.SIGCONT)

    def end(self) -> None:
        """Ends it."""
        self.tree.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def load(self, clients: int, seconds: float, drain_s: float = 5.0, *, bodies: str | None = None) -> dict[str, Any]:
        """Lets clients ask it, in a process of their own.

        Args:
            clients: How many.
            seconds: How long.
            drain_s: Beyond that, for answers that are on their way.
            bodies: What they send, if not what the workload says.

        Returns:
            What ``benchmarks.load`` has seen, and ``server_cpu_s``.
        """
        form = "raw" if self.kind.raw else "form"
        cpu = self.tree.cpu_s()
        arguments = [self.url, bodies or self.workload.bodies, form, str(clients), str(seconds), str(drain_s)]
        command = [sys.executable, "-m", "benchmarks.load", *arguments]
        try:
            found = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + drain_s + CLIENTS_S,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"the clients have not ended after {error.timeout:.0f} s") from error
        if found.returncode:
            raise Failed(f"the clients failed: {found.stderr[-300:]}")
        seen: dict[str, Any] = json.loads(found.stdout)
        return seen | {"server_cpu_s": self.tree.cpu_s() - cpu}

    def _command(self) -> list[str]:
        if not self.kind.module:
            return [sys.executable, "-m", "bentoml", "serve", "service:MediaClassifier"]
        port = [argument.replace("PORT", str(self._port)) for argument in self.kind.arguments]
        return [sys.executable, "-m", f"benchmarks.peers.{self.kind.module}", *port]

    def _variables(self) -> dict[str, str]:
        variables = {"PYTHONPATH": str(ROOT), "BENCH_WORKLOAD": self.workload.name, "TOKENIZERS_PARALLELISM": "false"}
        variables |= dict(self.kind.variables)
        if not self.kind.module:
            home = self._folder / "bentoml"
            shutil.copytree(STORE, home, copy_function=os.link, ignore=shutil.ignore_patterns("prometheus*"))
            variables |= {
                "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "PORT": str(self._port),
                "DATA_DIR": str(self._folder / "data"), "LOG_DIR": str(self._folder / "logs"),
                **dict(self.workload.settings),
            }  # fmt: skip
        return variables | dict(self.extra)

    def _wait(self, started: float) -> None:
        file = clips.recording(1.0) if self.workload.bodies == "voices" else clips.faces()[0].file
        key = "audio" if self.workload.bodies == "voices" else "image"
        body = file if self.kind.raw else clips.form(key, "first", file)
        headers = {"content-type": f"multipart/form-data; boundary={clips.BOUNDARY}"}
        while time.perf_counter() - started < READY_S:
            if self.tree.process.poll() is not None:
                raise Failed(f"it ended: {self.tree.output}")
            try:
                if not self.kind.module:  # all models, not only the one that is asked
                    urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5).close()
                urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=ANSWER_S).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise Failed(f"no answer within {READY_S:.0f} s: {self.tree.output}")
