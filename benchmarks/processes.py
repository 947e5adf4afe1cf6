"""A server with all its descendants, wherever they moved to: found by a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

MARK = "BENCH_MARK"
END_S = 15.0
TICKS = os.sysconf("SC_CLK_TCK")


class Tree:
    """A program that was started, and everything that it started.

    Args:
        command: The program.
        variables: Of its environment, beside this process's own.
        folder: Where it runs; its output goes to ``output.log`` there.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        self._mark = uuid.uuid4().hex
        self._log = folder / "output.log"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **variables, MARK: self._mark},
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(errors="replace")[-2000:]

    def pids(self) -> list[int]:
        """All its processes."""
        wanted = f"{MARK}={self._mark}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended, or belongs to another user
                if wanted in (path / "environ").read_bytes():
                    found.append(int(path.name))
        return found

    def pss_bytes(self) -> int:
        """Memory: each page counted once, divided among those who share it."""
        return sum(pss_bytes(pid) for pid in self.pids())

    def cpu_s(self) -> float:
        """Processor time of the processes that are alive."""
        return sum(cpu_s(pid) for pid in self.pids())

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to all: SIGSTOP while others are measured, SIGCONT for the next turn."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self) -> None:
        """Ends it, kindly first."""
        self.send(signal.SIGCONT)
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
        deadline = time.monotonic() + END_S
        while self.pids() and time.monotonic() < deadline:
            self.send(signal.SIGKILL)
            time.sleep(0.1)
        self.process.wait(END_S)


def pss_bytes(pid: int) -> int:
    """Memory of a process: each page divided among those who share it; 0 when it has gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu_s(pid: int) -> float:
    """Processor time of a process (seconds); 0 when it has gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0
