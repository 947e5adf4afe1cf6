"""Connections to the runners: one for each call where there may be replicas, and names that are looked up patiently."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from _bentoml_impl.client import RemoteProxy
from aiohttp.abc import AbstractResolver, ResolveResult

from operations.connections import LastKnown, share_among_replicas

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("shared", "connections"), [(True, 3), (False, 1)])
async def test_a_runner_on_the_network_gets_a_connection_for_each_call(shared: bool, connections: int) -> None:
    """So that the addresses of its name take turns."""
    opened = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        with contextlib.suppress(asyncio.IncompleteReadError):  # the client has closed it
            last = False
            while not last:
                last = b"connection: close" in (await reader.readuntil(b"\r\n\r\n")).lower()
                closing = b"Connection: close\r\n" * last
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + closing + b"\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        proxy = RemoteProxy(f"http://localhost:{server.sockets[0].getsockname()[1]}")
        if shared:
            assert share_among_replicas(proxy, workers=1)
        assert [await proxy.to_async.is_ready() for _ in range(3)] == [True] * 3
        await proxy.close()
    assert opened == connections


@pytest.mark.parametrize(("workers", "kept"), [(1, True), (2, False)])
async def test_a_runner_beside_the_api_keeps_its_connections_if_it_is_one_process(workers: int, kept: bool) -> None:
    """Both kept connections may have been accepted by the same of two processes."""
    proxy = RemoteProxy("file:///run/runner.sock")
    assert not share_among_replicas(proxy, workers)
    assert (proxy.to_async.default_headers.get("Connection") != "close") == kept
    await proxy.close()


class Names(AbstractResolver):
    """A name server that answers as it is told."""

    def __init__(self) -> None:
        self.addresses = ["10.0.0.1"]
        self.failure: OSError | None = None
        self.delay_s = 0.0
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        await asyncio.sleep(self.delay_s)
        if self.failure:
            raise self.failure
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


async def look_up(names: LastKnown) -> list[str]:
    return [found["host"] for found in await names.resolve("runner", 3000)]


async def test_a_name_is_looked_up_each_time() -> None:
    server = Names()
    names = LastKnown(server)
    assert await look_up(names) == ["10.0.0.1"]
    server.addresses = ["10.0.0.1", "10.0.0.2"]
    assert await look_up(names) == ["10.0.0.1", "10.0.0.2"]


async def test_a_name_that_is_not_known_for_a_moment_is_what_it_was() -> None:
    server = Names()
    names = LastKnown(server)
    server.failure = socket.gaierror(-2, "Name or service not known")
    with pytest.raises(socket.gaierror):
        await look_up(names)
    server.failure = None
    assert await look_up(names) == ["10.0.0.1"]
    server.failure = socket.gaierror(-2, "Name or service not known")
    assert await look_up(names) == ["10.0.0.1"]


async def test_a_lost_question_is_not_waited_for_where_an_answer_is_known() -> None:
    server = Names()
    names = LastKnown(server, patience_s=0.01)
    server.delay_s = 0.05
    assert await look_up(names) == ["10.0.0.1"]  # the first is
    server.addresses = ["10.0.0.2"]
    async with asyncio.timeout(0.04):
        assert list(await asyncio.gather(look_up(names), look_up(names))) == [["10.0.0.1"]] * 2
    assert server.asked == 2
    await asyncio.sleep(0.06)
    server.delay_s = 60.0
    assert await look_up(names) == ["10.0.0.2"]  # what came late is known
    await names.close()


async def test_a_caller_who_leaves_takes_no_lookup_along() -> None:
    server = Names()
    names = LastKnown(server)
    server.delay_s = 0.05
    first, second = (asyncio.create_task(look_up(names)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == ["10.0.0.1"]
    assert server.asked == 1
