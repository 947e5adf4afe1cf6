"""The stack of ``deploy/compose.yaml``, started and ended by ``make up`` and ``make down``."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from tests.containers.podman import BUILD_S, START_S, inspect, is_ready, podman, run
from tests.support.redis_server import free_port
from tests.support.served import wait_for

NAME = "bundle-test"
VOLUME = f"{NAME}_redis"
OF_STACK = ("--filter", f"label=io.podman.compose.project={NAME}")

# Asks the API of one container's own process; images have no curl.
READ_METRICS = (
    "import urllib.request as r; print(r.urlopen('http://127.0.0.1:3000/metrics', timeout=10).read().decode())"
)


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack.

    Attributes:
        settings: What ``make up`` is called with.
        port: Where the API is published.
    """

    settings: dict[str, str]
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        """An HTTP client for it."""
        return httpx.Client(base_url=self.url, timeout=90)

    def up(self, **options: str) -> None:
        """Starts it, or changes what runs."""
        run("make", "up", variables={"PORT": str(self.port), **self.settings, **options}, timeout_s=BUILD_S)

    def down(self) -> None:
        """Ends it."""
        run("make", "down", variables=self.settings, timeout_s=BUILD_S)

    def wait_until_ready(self) -> None:
        """Returns when every model answers."""
        wait_for(lambda: is_ready(self.url), START_S, why=lambda: podman("ps", "--all", *OF_STACK))

    def containers(self, service: str = "") -> list[str]:
        """Names of the running containers of a service, or of all."""
        of_service = ("--filter", f"label=com.docker.compose.service={service}") if service else ()
        return podman("ps", *OF_STACK, *of_service, "--format", "{{.Names}}").split()

    def is_oom_free(self) -> bool:
        """Whether no container has reached its memory limit."""
        return not any(inspect(name)["State"]["OOMKilled"] for name in self.containers())


def kill(container: str) -> None:
    """Kills what a container runs, as the kernel would."""
    os.kill(inspect(container)["State"]["Pid"], signal.SIGKILL)


def batches(container: str, model: str) -> float:
    """How many batches of a model a runner has computed."""
    text = podman("exec", container, "python", "-c", READ_METRICS)
    found = re.search(rf'^bundle_engine_seconds_count\{{.*model="{model}".*\}} (\S+)$', text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def most_memory(container: str) -> float:
    """The most memory that a container has held (bytes)."""
    folder = "/sys/fs/cgroup"
    return float(
        podman(
            "exec",
            container,
            "sh",
            "-c",
            f"cat {folder}/memory.peak {folder}/memory/memory.max_usage_in_bytes 2>/dev/null; true",
        )
    )


def remains() -> str:
    """What is left of the stack: containers, networks, volumes."""
    kinds = (("ps", "--all", "--quiet"), ("network", "ls", "--quiet"), ("volume", "ls", "--quiet"))
    return "".join(podman(*kind, *OF_STACK) for kind in kinds)


@contextlib.contextmanager
def stack(**settings: str) -> Iterator[Stack]:
    """Runs the stack as long as the context lasts."""
    running = Stack({"STACK": NAME, "CONTAINER_ENGINE": "podman", **settings})
    try:
        running.up()
        running.wait_until_ready()
        yield running
    finally:
        running.down()
        podman("volume", "rm", VOLUME)  # which outlives `make down`: the keys of callers are in it
