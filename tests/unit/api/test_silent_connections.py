"""Connections on which nothing is asked, against a real server in a process of its own with few descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api import connections
from tests.support.redis_server import free_port
from tests.support.served import ROOT, wait_for

HEAD_S, KEEP_S, DESCRIPTORS = 1.0, 6.0, 128
LARGE = 64 << 20  # bytes; far more than sockets hold
SLOW_S = 0.15  # for each message
LATE_S = 5.0  # until an answer
PING_S = 20.0  # between two pings of a WebSocket, and until its answer, as uvicorn has it
PROGRAM = f"""
import asyncio, logging, resource, sys, uvicorn
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
from api import connections
connections.install(float(sys.argv[2]), {KEEP_S})

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({{"type": "websocket.accept"}})
        try:
            for _ in range({LARGE} >> 20 if scope["path"] == "/large" else 0):
                await send({{"type": "websocket.send", "bytes": bytes(1 << 20)}})
            while (await receive())["type"] == "websocket.receive":
                await asyncio.sleep({SLOW_S} if scope["path"] == "/slow" else 0)
                await send({{"type": "websocket.send", "text": "ok"}})
        finally:
            logging.info("left %s", scope["path"])
    elif scope["type"] == "http":
        message = await receive()
        size = len(message["body"])
        while message.get("more_body"):
            message = await receive()
            size += len(message.get("body", b""))
        while scope["path"] == "/left" and message["type"] != "http.disconnect":
            message = await receive()
        if scope["path"] == "/left":
            logging.info("left %s", scope["query_string"])
        await asyncio.sleep({LATE_S} if scope["path"] == "/late" else 0)
        body = bytes({LARGE}) if scope["path"] == "/large" else b"%d ok" % size if scope["path"] == "/size" else b"ok"
        length = str(len(body)).encode()
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}})
        await send({{"type": "http.response.body", "body": body}})

ping = {{"ws_ping_interval": float(sys.argv[3]), "ws_ping_timeout": float(sys.argv[3])}}
uvicorn.Server(uvicorn.Config(app, port=int(sys.argv[1]), log_config=None, workers=1, **ping)).run()
"""
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Server:
    """A running server."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Callable[[], str]) -> None:
        self.port = port
        self.process = process
        self.log = log

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def answers(self) -> bool:
        """Whether a new caller is answered."""
        with contextlib.suppress(OSError), self.connect() as caller:
            return is_answered(caller, ASK)
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("server") / "log", HEAD_S) as running:
        yield running


@contextlib.contextmanager
def started(file: Path, head_s: float, ping_s: float = PING_S) -> Iterator[Server]:
    """A server that logs into a file."""
    port = free_port()
    command = [sys.executable, "-c", PROGRAM, str(port), str(head_s), str(ping_s)]
    with file.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log)
    running = Server(port, process, file.read_text)
    try:
        wait_for(running.answers, 60, why=running.log)
        yield running
    finally:
        process.kill()
        process.wait()


def is_answered(caller: socket.socket, request: bytes) -> bool:
    """Sends, and reads the answer to its end."""
    caller.sendall(request)
    answer = b""
    while not answer.endswith(b"ok") and (more := caller.recv(4096)):
        answer += more
    return b"200 OK" in answer


def is_closed(caller: socket.socket, within_s: float = 30.0) -> bool:
    """Whether the server closes the connection."""
    caller.settimeout(within_s)
    try:
        return caller.recv(4096) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize(
    "pieces",
    [[b""], [b"GET / HTTP/1.1\r\nHost: a\r\nX: "], [b"\r\n"], [b"G", b"E", b"T", b" ", b"/", b" ", b"H"]],
    ids=["nothing", "a part of a head", "an empty line", "bit by bit"],
)
def test_a_head_must_be_complete_in_time(server: Server, pieces: list[bytes]) -> None:
    with server.connect() as caller:
        for piece in pieces:
            caller.sendall(piece)
            time.sleep(0.1)
        assert is_closed(caller)


@pytest.mark.parametrize("piece", [b"GET / HT", b"\r\n"])
def test_the_next_head_on_a_kept_connection_too(server: Server, piece: bytes) -> None:
    with server.connect() as caller:
        assert is_answered(caller, ASK)
        caller.sendall(piece)
        assert is_closed(caller)


def test_a_kept_connection_and_a_slow_body_are_left_alone(server: Server) -> None:
    with server.connect() as kept, server.connect() as slow:
        assert is_answered(kept, ASK)
        slow.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1")
        time.sleep(3 * HEAD_S)
        assert is_answered(kept, ASK)
        assert is_answered(slow, b"2")


def test_an_answer_that_is_not_read_is_given_up(server: Server) -> None:
    """The end of a connection waited for ever until its caller had taken what was left."""
    with server.connect() as caller:
        caller.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(HEAD_S + 3.0)
        read = 0
        with contextlib.suppress(OSError):
            while more := caller.recv(1 << 20):
                read += len(more)
        assert read < LARGE


def test_many_silent_connections_shut_no_client_out(server: Server) -> None:
    """Three times as many as there are descriptors; those that are kept are the last to be closed."""
    with contextlib.ExitStack() as open_ones:
        kept = open_ones.enter_context(server.connect())
        assert is_answered(kept, ASK)
        for _ in range(3 * DESCRIPTORS):
            with contextlib.suppress(OSError):
                open_ones.enter_context(server.connect())
        wait_for(server.answers, 20)
        assert is_answered(kept, ASK)
    assert server.log().count("WARNING few descriptors") == 1


def test_uploads_that_never_end_shut_no_client_out(tmp_path: Path) -> None:
    """The one silent connection was that of the newcomer, which was reset; a request that waits is never closed."""
    upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1"
    with started(tmp_path / "log", HEAD_S) as server, contextlib.ExitStack() as open_ones:
        waiting = open_ones.enter_context(server.connect())
        waiting.sendall(ASK.replace(b"/", b"/late", 1))
        uploads = []
        for _ in range(2 * DESCRIPTORS):
            uploads.append(open_ones.enter_context(server.connect()))
            uploads[-1].sendall(upload)
        time.sleep(0.5)
        for _ in range(DESCRIPTORS):
            assert server.answers()
        assert is_answered(waiting, b"")
        assert is_answered(uploads[-1], b"2")
        assert is_closed(uploads[0])


class Broken:
    """A connection that has been silent, but does not say whether it is kept."""

    silent_since = 0.0


def test_a_failed_look_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would close silent connections from then on."""
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.001)
    failures: list[BaseException] = []

    async def watch() -> None:
        loop, twice = asyncio.get_running_loop(), asyncio.Event()

        def note(_: object, context: dict[str, Any]) -> None:
            failures.append(context["exception"])
            if len(failures) == 2:
                twice.set()

        loop.set_exception_handler(note)
        open_ones: set[Any] = set()
        connections.Watch(loop, open_ones)
        open_ones.add(Broken())
        await asyncio.wait_for(twice.wait(), 30)

    asyncio.run(watch())
    assert all(isinstance(failure, AttributeError) for failure in failures)
