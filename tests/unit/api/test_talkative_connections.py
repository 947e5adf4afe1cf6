"""Connections on which too much comes at once: they are closed, before they cost memory or the time of others."""

from __future__ import annotations

import base64
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from api.connections import FREE_CHUNKS, MAX_AHEAD, MAX_HEADERS
from tests.support.served import wait_for
from tests.unit.api.test_silent_connections import ASK, Server, is_answered, started

HEAD_S = 60.0  # none of these is closed because it takes too long
BLOCK, MOST = 1 << 16, 16 << 20  # bytes that are sent at once, and in all
GROWN = 30 << 20  # bytes; without bounds it was hundreds of megabytes
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)
MASK = bytes(4)
MESSAGE = b"\x82\x8a" + MASK + bytes(10)

FLOODS = {
    "headers": (ASK[:-2], b"a: b\r\n"),
    "a header": (ASK[:-2] + b"a: ", b"a"),
    "an address": (b"GET /", b"a"),
    "empty lines": (b"", b"\r\n"),
    "requests": (b"", ASK),
    "chunks of a byte": (CHUNKED, b"1\r\nA\r\n"),
    "an extension of a chunk": (CHUNKED + b"1;", b"a"),
    "trailers": (CHUNKED + b"1\r\nA\r\n0\r\n", b"a: b\r\n"),
    "a trailer": (CHUNKED + b"1\r\nA\r\n0\r\na: ", b"a"),
}
FRAMES = {
    "pings": b"\x89\xfd" + MASK + bytes(125),
    "pongs": b"\x8a\x80" + MASK,
    "parts without an end": b"\x00\x80" + MASK,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("server") / "log", HEAD_S) as running:
        yield running


def memory(server: Server) -> int:
    """Resident memory of a server (bytes)."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


def is_refused(caller: socket.socket, block: bytes) -> bool:
    """Sends a block again and again, and reads nothing; whether the server closes the connection."""
    caller.settimeout(20)
    data = block * (BLOCK // len(block) + 1)
    try:
        for _ in range(MOST // len(data)):
            caller.sendall(data)
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_connection(server: Server, name: str) -> None:
    start, block = FLOODS[name]
    before = memory(server)
    with server.connect() as caller:
        caller.sendall(start)
        assert is_refused(caller, block)
    assert memory(server) - before < GROWN
    assert server.answers()


@pytest.mark.parametrize("name", FRAMES)
def test_a_flood_of_frames_ends_its_socket(server: Server, name: str) -> None:
    before = memory(server)
    with upgraded(server) as caller:
        caller.sendall(b"\x02\x80" + MASK if name == "parts without an end" else b"")
        assert is_refused(caller, FRAMES[name])
    assert memory(server) - before < GROWN
    assert server.answers()


@pytest.mark.parametrize(
    ("further", "status"),
    [
        (b"Content-Length: 5\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\n", b"400"),
        (b"Cookie: " + b"a" * 9000 + b"\r\n", b"431"),
        (b"".join(b"x-%d: a\r\n" % number for number in range(140)), b"431"),
    ],
    ids=["a body", "a body in chunks", "a long line", "many lines"],
)
def test_a_socket_whose_head_cannot_be_read_is_refused(server: Server, further: bytes, status: bytes) -> None:
    """It was neither answered nor ever closed, and nothing took its descriptor back where these ran out."""
    with server.connect() as caller:
        caller.settimeout(10)
        caller.sendall(UPGRADE[:-2] + further + b"\r\n")
        answer = b""
        while more := caller.recv(4096):
            answer += more
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_each_of_many_small_messages_is_answered(server: Server) -> None:
    """They are parsed a little at a time, as the application takes them."""
    count = 20_000
    with upgraded(server) as caller:
        caller.settimeout(60)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        answers = b""
        for _ in range(10):
            caller.sendall((b"\x82\x80" + MASK) * (count // 10))
            while len(answers) < 4 * count // 10:
                answers += caller.recv(1 << 16)
            answers = answers[4 * count // 10 :]
        caller.sendall(b"\x89\x80" + MASK)
        assert (answers + caller.recv(2)) == b"\x8a\x00"


def test_what_honest_clients_send_is_answered(server: Server) -> None:
    long = b"".join(b"x-%d: %s\r\n" % (number, b"a" * 200) for number in range(MAX_HEADERS - 10))
    with server.connect() as caller:
        assert is_answered(caller, ASK[:-2] + long + b"\r\n")
        assert is_answered(caller, CHUNKED + b"1\r\nA\r\n" * FREE_CHUNKS + b"0\r\n\r\n")
        assert is_answered(caller, CHUNKED + (b"64\r\n" + bytes(100) + b"\r\n") * 5000 + b"0\r\na: b\r\n\r\n")
        assert is_answered(caller, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000))
        caller.sendall(ASK * MAX_AHEAD)
        answers = b""
        while answers.count(b"200 OK") < MAX_AHEAD:
            answers += caller.recv(4096)


@pytest.mark.parametrize("further", [b"", ASK, ASK * 3, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1"])
def test_who_leaves_ends_the_work_whatever_was_sent_behind_the_request(server: Server, further: bytes) -> None:
    name = f"left b'{len(further)}'"
    with server.connect() as caller:
        caller.sendall(b"GET /left?%d HTTP/1.1\r\nHost: a\r\n\r\n" % len(further) + further)
        time.sleep(0.2)
        assert name not in server.log()
    wait_for(lambda: name in server.log(), 10, why=server.log)


def test_a_socket_behind_a_request_that_is_answered_is_refused(server: Server) -> None:
    with server.connect() as caller:
        caller.settimeout(10)
        caller.sendall(b"GET /left?socket HTTP/1.1\r\nHost: a\r\n\r\n" + UPGRADE)
        assert b" 400 " in caller.recv(4096)
    wait_for(lambda: "left b'socket'" in server.log(), 10, why=server.log)


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket, h2c", b"TLS/1.0"])
@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_who_asks_for_another_protocol_is_answered_in_this_one(server: Server, upgrade: bytes, size: int) -> None:
    """As clients of Java do for each request. Its body was lost, and taken for the next request."""
    head = b"POST /size HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\n"
    request = head % upgrade + b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    for pieces in (
        [request],
        [request[:20], request[20:-5], request[-5:]],
        [request[: -size or None], request[-size:]],
    ):
        with server.connect() as caller:
            caller.settimeout(20)
            for piece in pieces if size else [request]:
                caller.sendall(piece)
                time.sleep(0.05)
            caller.sendall(ASK)
            answer = b""
            while answer.count(b"200 OK") < 2 or not answer.endswith(b"ok"):
                more = caller.recv(4096)
                assert more, answer
                answer += more
            assert b"\r\n\r\n%d okHTTP" % size in answer


def test_requests_for_another_protocol_without_end_are_refused(server: Server) -> None:
    block = ASK[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with server.connect() as caller:
        assert is_refused(caller, block)
    with server.connect() as caller:
        caller.settimeout(10)
        caller.sendall(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 400 " in caller.recv(4096)
    assert server.answers()


@pytest.fixture(scope="module")
def pinging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks each second whether the other side of a WebSocket is there."""
    with started(tmp_path_factory.mktemp("pinging") / "log", 1.0, ping_s=1.0) as running:
        yield running


def test_who_sends_faster_than_is_read_is_not_taken_for_gone(pinging: Server) -> None:
    """The answer to a ping stands behind all messages that were sent before it."""
    count = 30
    with connect(f"ws://127.0.0.1:{pinging.port}/slow", ping_interval=None) as caller:
        for _ in range(count):
            caller.send(bytes(32_000))
        assert [caller.recv(60) for _ in range(count)] == ["ok"] * count


def test_a_socket_whose_answers_are_not_read_is_given_up(pinging: Server) -> None:
    """Its place among the streams was taken for as long as its caller wanted."""
    with upgraded(pinging, "/large"):
        wait_for(lambda: "left /large" in pinging.log(), 60, why=pinging.log)


def test_so_is_one_that_goes_on_sending_and_gets_small_answers(pinging: Server) -> None:
    """The connection's buffers take all of them, so only the pings tell."""
    with upgraded(pinging, "/small") as caller:
        for _ in range(200):
            with contextlib.suppress(OSError):
                caller.sendall(MESSAGE)
            if "left /small" in pinging.log():
                return
            time.sleep(0.1)
    pytest.fail(pinging.log())


@contextlib.contextmanager
def upgraded(server: Server, path: str = "/") -> Iterator[socket.socket]:
    """A WebSocket that was accepted."""
    with server.connect() as caller:
        caller.sendall(UPGRADE.replace(b"/", path.encode(), 1))
        head = b""
        while b"\r\n\r\n" not in head:
            head += caller.recv(1)
        assert b" 101 " in head
        yield caller
