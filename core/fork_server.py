"""The process that the server's workers are copies of: they share its memory, and start sooner.

BentoML's supervisor starts every worker anew, and each loads the same libraries: most of what a start takes, and memory
that no other process can use. Here one process loads them once, has no threads and opens nothing. It becomes two
(``fork``) whenever the supervisor wants one more, and the copy runs the program that the supervisor would have started.
The supervisor is the parent of the copies all the same, so it waits for them and ends them as ever.

``python -m core.fork_server`` is that process. Where it cannot be had (it is for Linux) or does not answer, workers are
started as BentoML starts them.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import logging
import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from setproctitle import setproctitle  # it looks for the arguments of this process, so it comes before others change

from core import left_out

log = logging.getLogger("bundle.supervisor")

SUBREAPER = 36  # ``PR_SET_CHILD_SUBREAPER`` of Linux
ANSWER_S = 60.0  # before the first answer all libraries are loaded
ENDS_S = 1.0  # when it sees that nobody is there to ask
TRIES = 2  # one that was killed is replaced
# What ``/proc`` shows as the arguments of a copy takes the place of the fork server's, and may be as long. With this
# variable setproctitle leaves what lies behind them, the environment; it is that of the first copy.
LONGEST_TITLE = 2000  # bytes
TITLES = {"SPT_NOENV": "1"}
LARGEST_REQUEST = 1 << 20  # bytes; arguments and environment are some 10 KB
STANDARD_INPUT = 0
SOCKET_ARGUMENT = "--fd"  # of BentoML's worker: the number of the socket that it listens on


class Copy(psutil.Process):  # type: ignore[misc]  # psutil has no types
    """A process that the fork server made, with what circus asks of a ``subprocess.Popen``."""

    stdin = stdout = stderr = None
    returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            try:
                self.returncode = self.wait(0)
            except psutil.TimeoutExpired:
                return None
        return self.returncode


class ForkServer:
    """Starts workers as copies of one process, which it begins with the first of them.

    Args:
        preloaded: Modules that every worker needs.
        usual: What starts a process otherwise: ``psutil.Popen``.
    """

    def __init__(self, preloaded: Sequence[str], usual: Callable[..., Any]) -> None:
        self._preloaded, self._usual = preloaded, usual
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str], **options: Any) -> Any:
        """Starts a program as ``psutil.Popen`` does.

        Args:
            arguments: Of the program. A worker gets its socket under another number.
            **options: As of ``Popen``. For a worker ``cwd`` and ``env`` count; circus never changes the rest.
        """
        if list(arguments[1:3]) != ["-m", left_out.WORKER]:
            return self._usual(arguments, **options)
        for _ in range(TRIES):
            try:
                return Copy(self._ask(arguments, options["cwd"], options["env"]))
            except (OSError, ValueError) as error:
                log.warning("the fork server does not answer: %s", error)
                self.close()
        return self._usual(arguments, **options)

    def close(self) -> None:
        """Ends the fork server; its copies go on."""
        if self._line:
            self._line.close()
            self._line = None
        if self._process:
            with self._process as process:  # waits
                try:
                    process.wait(ENDS_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            self._process = None

    def _ask(self, arguments: Sequence[str], cwd: str, environment: Mapping[str, str]) -> int:
        """The process id of a new copy."""
        line = self._line or self._begin(environment)
        request = {"arguments": list(arguments), "cwd": str(cwd), "environment": dict(environment)}
        socket.send_fds(line, [json.dumps(request).encode()], [int(arguments[_place_of_socket(arguments)])])
        if not (answer := line.recv(LARGEST_REQUEST)):
            raise ConnectionError("it has ended")
        return int(answer)

    def _begin(self, environment: Mapping[str, str]) -> socket.socket:
        """Begins it in the environment of its first copy: some libraries read theirs while they are loaded."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(ANSWER_S)
        self._line = ours
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), " ".join(self._preloaded).ljust(LONGEST_TITLE)]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - nothing is given
                command,
                cwd=Path(__file__).parents[1],
                env={**environment, **TITLES},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return ours


def adopt() -> bool:
    """Makes this process the parent of descendants whose own parent has ended; gives whether the system can."""
    return sys.platform == "linux" and not ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def install(preloaded: Sequence[str]) -> None:
    """Has the supervisor that this process is about to become start its workers so; does nothing in its workers.

    Args:
        preloaded: Libraries that every worker needs. None may start a thread, or open what workers must not share.
    """
    if "bentoml_cli" not in sys.modules or not adopt():
        return
    import circus.process  # type: ignore[import-untyped]

    circus.process.Popen = ForkServer(preloaded, circus.process.Popen).start


def serve(line: socket.socket, preloaded: Sequence[str]) -> Mapping[str, Any]:
    """Becomes two processes at each request; returns in the copies only, with the request.

    Args:
        line: To the supervisor. When that end is closed, this process ends.
        preloaded: Modules to load first.

    Raises:
        RuntimeError: One of them has started a thread: a copy would have the locks of all threads, and but one of them.
    """
    left_out.leave_out()
    for name in preloaded:
        importlib.import_module(name)
    if (threads := psutil.Process().num_threads()) > 1:
        raise RuntimeError(f"{threads} threads")
    gc.collect()
    gc.freeze()  # a collection in a copy would write into every object, and so take a page of its own for each
    while (received := socket.recv_fds(line, LARGEST_REQUEST, 1))[0]:
        request, (listening,) = json.loads(received[0]), received[1]
        request["arguments"][_place_of_socket(request["arguments"])] = str(listening)
        if not (pid := _fork_twice()):
            line.close()
            return dict(request)
        os.close(listening)
        line.send(str(pid).encode())
    os._exit(0)


def become(request: Mapping[str, Any]) -> None:
    """Runs the program of a request in this process, as ``python -m`` would in one of its own."""
    setproctitle(" ".join(request["arguments"]))
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, STANDARD_INPUT)
    os.close(nothing)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _, _, program, *arguments = request["arguments"]
    sys.path[0], sys.argv[1:] = request["cwd"], arguments
    runpy.run_module(program, run_name="__main__", alter_sys=True)


def _fork_twice() -> int:
    """The process id of a copy whose parent has ended, so that the supervisor is its parent; 0 in the copy."""
    reading, writing = os.pipe()
    if between := os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            pid = int(answer.read())
        os.waitpid(between, 0)
        return pid
    own = os.getpid()
    if pid := os.fork():
        os.write(writing, str(pid).encode())
        os._exit(0)
    while os.getppid() == own:  # the program may ask for its parent
        time.sleep(0.001)
    os.close(reading)
    os.close(writing)
    return 0


def _place_of_socket(arguments: Sequence[str]) -> int:
    """Where the number of the socket is; a ValueError where there is none."""
    return list(arguments).index(SOCKET_ARGUMENT) + 1


if __name__ == "__main__":
    become(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2].split()))
