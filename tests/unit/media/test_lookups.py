"""Host names that are slow to look up, beside those of others."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import Unavailable, UpstreamError
from media import lookups
from media.fetch import Fetcher
from tests.support.fetching import fetcher
from tests.support.http_site import ok, serve

pytestmark = pytest.mark.anyio

ALLOW = ("localhost", "127.0.0.1")


class Resolver:
    """The system's, but names of the domain ``.test`` have no answer until they are let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.going = threading.Event()
        self._system = socket.getaddrinfo

    def __call__(self, host: str, *arguments: Any, **options: Any) -> list[Any]:
        if not host.endswith(".test"):
            return self._system(host, *arguments, **options)
        self.begun.release()
        self.going.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    one = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", one)
    yield one
    one.going.set()


async def ask(one: Fetcher, hosts: list[str], resolver: Resolver, begun: int) -> list[asyncio.Task[bytes]]:
    """Asks for files of these hosts, until so many lookups are under way."""
    asking = [asyncio.create_task(one.fetch(f"http://{host}/")) for host in hosts]
    for _ in range(begun):
        assert await asyncio.to_thread(resolver.begun.acquire, timeout=20)
    return asking


async def test_names_of_one_domain_hold_up_no_others(resolver: Resolver) -> None:
    async with serve({"/": ok(b"x")}) as site, fetcher(ALLOW) as one:
        asking = await ask(one, [f"a{n}.slow.test" for n in range(200)], resolver, lookups.AT_ONCE_OF_A_DOMAIN)
        started = time.monotonic()
        assert await one.fetch(site.url("/", "localhost")) == b"x"
        assert time.monotonic() - started < lookups.LINE_S
        assert not resolver.begun.acquire(blocking=False)
        resolver.going.set()
        failures = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(failure) for failure in failures} <= {UpstreamError, Unavailable}


async def test_what_cannot_be_looked_up_soon_is_told_to_come_back(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "LINE_S", 0.3)
    async with serve({"/": ok(b"x")}) as site, fetcher(ALLOW) as one:
        hosts = [f"a.slow{n}.test" for n in range(lookups.AT_ONCE)]
        asking = await ask(one, hosts, resolver, lookups.AT_ONCE)
        with pytest.raises(Unavailable, match="too many host names") as caught:
            await one.fetch(site.url("/", "localhost"))
        assert caught.value.retry_after == lookups.RETRY_AFTER_S
        resolver.going.set()
        await asyncio.gather(*asking, return_exceptions=True)
        assert await one.fetch(site.url("/", "localhost")) == b"x"


async def test_who_gives_up_leaves_the_lookup_in_its_place(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be cancelled: one caller who asks again and again would have all threads."""
    monkeypatch.setattr(lookups, "LINE_S", 0.3)
    most = lookups.AT_ONCE_OF_A_DOMAIN
    async with fetcher(ALLOW) as one:
        asking = await ask(one, [f"a{n}.slow.test" for n in range(most)], resolver, most)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        with pytest.raises(Unavailable):
            await one.fetch("http://b.slow.test/")
        resolver.going.set()
        with pytest.raises(UpstreamError):
            await one.fetch("http://b.slow.test/")
