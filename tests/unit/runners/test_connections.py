"""Connections to the runners: one for each call where there may be replicas, and names that are looked up patiently."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from _bentoml_impl.client import RemoteProxy

from runners import assembly
from runners.assembly import ResolverCache, share_among_replicas
from tests.support.caching import until

pytestmark = pytest.mark.anyio

RUNNER = "runner"  # a name that no server knows


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[tuple[int, list[object]]]:
    """A runner that says that it is ready: its port, and the connections that were made to it."""
    opened: list[object] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):  # the client has closed it
            last = False
            while not last:
                last = b"connection: close" in (await reader.readuntil(b"\r\n\r\n")).lower()
                closing = b"Connection: close\r\n" * last
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + closing + b"\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], opened


@pytest.mark.parametrize(("shared", "number"), [(True, 3), (False, 1)])
async def test_a_runner_on_the_network_gets_a_connection_for_each_call(shared: bool, number: int) -> None:
    """So that the addresses of its name take turns."""
    async with answering() as (port, opened):
        proxy = RemoteProxy(f"http://localhost:{port}")
        if shared:
            assert share_among_replicas(proxy, workers=1)
        assert [await proxy.to_async.is_ready() for _ in range(3)] == [True] * 3
        await proxy.close()
    assert len(opened) == number


@pytest.mark.parametrize(("workers", "kept"), [(1, True), (2, False)])
async def test_a_runner_beside_the_api_keeps_its_connections_if_it_is_one_process(workers: int, kept: bool) -> None:
    """Both kept connections may have been accepted by the same of two processes."""
    proxy = RemoteProxy("file:///run/runner.sock")
    assert not share_among_replicas(proxy, workers)
    assert (proxy.to_async.default_headers.get("Connection") != "close") == kept
    await proxy.close()


class Names:
    """A name server that answers as it is told, in a thread."""

    def __init__(self) -> None:
        self.addresses = ["10.0.0.1"]
        self.failure: OSError | None = None
        self.open = threading.Event()
        self.open.set()
        self.began = threading.Event()
        self.asked = self.answered = 0

    def getaddrinfo(self, host: str, port: int, *_: int, **__: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        assert host == RUNNER
        self.asked += 1
        self.began.set()
        self.open.wait()
        if self.failure:
            raise self.failure
        addresses = list(self.addresses)
        self.answered += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in addresses]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """In the place of the C library."""
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.open.set()


UNKNOWN = socket.gaierror(-2, "Name or service not known")


async def look_up(names: ResolverCache) -> list[str]:
    return [found["host"] for found in await names.resolve(RUNNER, 3000)]


async def test_a_name_is_looked_up_each_time(server: Names) -> None:
    names = ResolverCache()
    assert await look_up(names) == ["10.0.0.1"]
    server.addresses = ["10.0.0.1", "10.0.0.2"]
    assert await look_up(names) == ["10.0.0.1", "10.0.0.2"]


async def test_a_name_that_is_not_known_for_a_moment_is_what_it_was(server: Names) -> None:
    names = ResolverCache()
    server.failure = UNKNOWN
    with pytest.raises(socket.gaierror):
        await look_up(names)
    server.failure = None
    assert await look_up(names) == ["10.0.0.1"]
    server.failure = UNKNOWN
    assert await look_up(names) == ["10.0.0.1"]


async def test_old_addresses_may_be_somebody_elses(server: Names) -> None:
    names = ResolverCache(trusted_s=0.0)
    assert await look_up(names) == ["10.0.0.1"]
    server.failure = UNKNOWN
    with pytest.raises(socket.gaierror):
        await look_up(names)


async def test_a_lost_question_is_not_waited_for_where_an_answer_is_known(server: Names) -> None:
    names = ResolverCache(lookup_timeout_s=0.01)
    assert await look_up(names) == ["10.0.0.1"]
    server.addresses = ["10.0.0.2"]
    server.open.clear()
    assert list(await asyncio.gather(look_up(names), look_up(names))) == [["10.0.0.1"]] * 2
    assert server.asked == 2
    server.open.set()
    await until(lambda: server.answered == 2)
    server.open.clear()
    async with asyncio.timeout(60):
        while await look_up(names) != ["10.0.0.2"]:  # what came late is known: no other lookup is answered
            pass


async def test_a_caller_who_leaves_takes_no_lookup_along(server: Names) -> None:
    names = ResolverCache()
    server.open.clear()
    first, second = (asyncio.create_task(look_up(names)) for _ in range(2))
    await asyncio.to_thread(server.began.wait)
    first.cancel()
    await asyncio.sleep(0)
    server.open.set()
    assert await second == ["10.0.0.1"]
    assert server.asked == 1


async def test_a_runner_is_called_though_its_name_is_not_known_for_a_moment(
    server: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "ADDRESSES_KEPT_S", 0)  # or the HTTP client would not ask again
    server.addresses = ["127.0.0.1"]
    async with answering() as (port, opened):
        proxy = RemoteProxy(f"http://{RUNNER}:{port}")
        assert share_among_replicas(proxy, workers=1)
        assert await proxy.to_async.is_ready()
        server.failure = UNKNOWN
        assert await proxy.to_async.is_ready()
        await proxy.close()
    assert (server.asked, len(opened)) == (2, 2)
