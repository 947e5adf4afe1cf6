"""A real Redis for tests, that a test can kill and start again."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from tests.support.programs import program

START_S = 20.0
IN_MEMORY = ("--save", "", "--appendonly", "no")


class RedisServer:
    """One server process on one port."""

    def __init__(self, program: str, folder: Path, options: Sequence[str] = IN_MEMORY) -> None:
        """Starts it, on a port that no other process takes in the same moment."""
        self._program = program
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        for _ in range(5):
            self.port = free_port()
            if self._launch():
                return
        pytest.fail("redis-server does not start")

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A client to look inside; to be closed by the caller."""
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=2.0, socket_connect_timeout=2.0)

    def start(self) -> None:
        """Starts the process again; what was in it before is gone, unless its options keep it.

        Three times, as another process, or a connection of one, may hold the port for a moment.
        """
        for _ in range(3):
            if self._launch():
                return
            time.sleep(1)
        pytest.fail("redis-server does not start again")

    def _launch(self) -> bool:
        """Starts the process and waits until it answers, or has given up."""
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command = [self._program, *self._options, *own]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with self.client as client:
                try:
                    if client.info("server")["process_id"] == self._process.pid:
                        return True
                except redis.RedisError:
                    pass
            time.sleep(0.05)
        self.kill()
        return False

    def kill(self) -> None:
        """Kills the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Lets the process hang: connections are taken, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A fresh, empty Redis."""
    path = program("redis-server")
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(path, folder)
    yield server
    server.kill()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of a fresh, empty Redis."""
    return redis_server.url
