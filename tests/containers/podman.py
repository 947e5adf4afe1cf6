"""The container engine of these tests. A machine without it fails them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from tests.support.served import ROOT, wait_for

# Inside a container or a CI job there is no systemd for podman to lean on (``deploy/engine`` decides the same).
if not Path("/run/systemd/system").is_dir():
    os.environ.setdefault("CONTAINERS_CONF", str(ROOT / "deploy" / "containers.conf"))

COMMAND_S = 120.0  # podman and ip take seconds
BUILD_S = 1000.0  # what fetches packages or starts a whole stack takes minutes
START_S = 240.0  # a start takes 10 s; much more on a busy machine
# What containers call the machine that they run on; podman writes it into their ``/etc/hosts``.
HOST = "host.containers.internal"


def run(*command: str, variables: Mapping[str, str] = MappingProxyType({}), timeout_s: float = COMMAND_S) -> str:
    """Runs a program from the root of the repository, and gives its standard output.

    Raises:
        AssertionError: It failed; the message is what it printed.
        subprocess.TimeoutExpired: It took too long.
    """
    made = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        text=True,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    assert made.returncode == 0, f"{' '.join(command)}\n{made.stdout[-4000:]}\n{made.stderr[-4000:]}"
    return made.stdout


def podman(*arguments: str) -> str:
    """Runs podman, and gives its standard output."""
    return run("podman", *arguments).strip()


def logs(name: str) -> str:
    """What a container has printed."""
    command = ("podman", "logs", name)
    made = subprocess.run(command, text=True, capture_output=True, check=False, timeout=COMMAND_S)
    return made.stdout + made.stderr


def inspect(name: str) -> dict[str, Any]:
    """What podman knows of a container or an image."""
    found: dict[str, Any] = json.loads(podman("inspect", name))[0]
    return found


@dataclass(frozen=True, slots=True)
class Container:
    """A running container whose port 3000 is published on the loopback interface."""

    name: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{podman('port', self.name, '3000/tcp').splitlines()[0]}"

    @property
    def log(self) -> str:
        """What it has printed."""
        return logs(self.name)

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return bool(inspect(self.name)["State"]["Running"])

    def client(self) -> httpx.Client:
        """An HTTP client for it."""
        return httpx.Client(base_url=self.url, timeout=90)

    def wait_until_ready(self) -> float:
        """Returns when every model answers.

        Returns:
            How long that took (seconds).
        """
        started = time.monotonic()
        url = self.url
        wait_for(lambda: is_ready(url) or not self.is_running, START_S, why=lambda: self.log[-4000:])
        assert self.is_running, self.log[-4000:]
        return time.monotonic() - started


def is_ready(url: str) -> bool:
    """Whether every model answers at an address."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    return False


@contextlib.contextmanager
def container(
    image: str, *command: str, options: Sequence[str] = (), settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Container]:
    """Runs a container with nothing that it does not need, and removes it with its volumes.

    Args:
        image: What is run.
        *command: What it runs, when not what the image says.
        options: Further options of ``podman run``.
        settings: Its environment.
    """
    hardened = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--publish=127.0.0.1::3000")
    variables = [f"--env={name}={value}" for name, value in settings.items()]
    name = podman("run", "--detach", *hardened, *options, *variables, image, *command)
    try:
        yield Container(name)
    finally:
        podman("rm", "--force", "--volumes", "--time=0", name)


def environment(image: str) -> Mapping[str, str]:
    """The variables that an image sets."""
    return dict(line.split("=", 1) for line in inspect(image)["Config"]["Env"])
