"""The start of the API process."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from _bentoml_impl.client import RemoteProxy

from core.settings import Settings
from operations import assembly
from operations.assembly import assemble, share_among_replicas

pytestmark = pytest.mark.anyio


def test_a_runner_without_an_address_stops_the_start() -> None:
    """BentoML would load the model into the API process instead, without a word."""
    with pytest.raises(SystemExit, match="no address for the runners of voice_gender"):
        assemble(Settings(), {"voice_gender": object()})


async def test_recordings_are_decoded_in_as_many_threads_as_there_are_cores_to_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And one, for when one waits; the cores of the machine are not those of a container."""
    monkeypatch.setattr(assembly, "cores", lambda: 3)
    context = assemble(Settings(data_dir=tmp_path), {})
    assert context.threads._max_workers == 4
    await context.close()


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
        proxy = RemoteProxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
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
