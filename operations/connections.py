"""Connections to the runners: whom each call goes to, and where that is."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
from _bentoml_impl.client import RemoteProxy
from aiohttp.abc import AbstractResolver, ResolveResult

# A replica that came or went is known of after so long; aiohttp's own 10 s is longer than a killed runner needs to be
# back, at another address.
ADDRESSES_KEPT_S = 2
# A name server that is well answers within milliseconds; where a datagram is lost, the C library waits 5 s.
LOOKUP_PATIENCE_S = 0.5


class LastKnown(AbstractResolver):
    """Looks up names, and goes by the last answer where there is none in time.

    Podman's name server drops questions, or knows no name, for the moment in which a container of its network comes or
    goes; a cluster's does while it restarts.
    """

    def __init__(self, names: AbstractResolver | None = None, *, patience_s: float = LOOKUP_PATIENCE_S) -> None:
        """Knows of nothing yet.

        Args:
            names: Where names are looked up; the C library without it.
            patience_s: How long an answer is waited for where there is an earlier one (seconds).
        """
        self._names = names or aiohttp.ThreadedResolver()
        self._patience_s = patience_s
        self._known: dict[tuple[str, int, int], list[ResolveResult]] = {}
        self._under_way: dict[tuple[str, int, int], asyncio.Task[OSError | None]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Returns the addresses of a name.

        Raises:
            OSError: It has none, and never had.
        """
        key = (host, port, family)
        lookup = self._under_way.get(key)
        if lookup is None:
            lookup = self._under_way[key] = asyncio.create_task(self._look_up(key, family))
        await asyncio.wait({lookup}, timeout=self._patience_s if key in self._known else None)
        if key not in self._known and (failure := lookup.result()):
            raise failure
        return self._known[key]

    async def close(self) -> None:
        """Ends what is under way."""
        for lookup in self._under_way.values():
            lookup.cancel()
        await self._names.close()

    async def _look_up(self, key: tuple[str, int, int], family: socket.AddressFamily) -> OSError | None:
        """Remembers the addresses of a name, or returns why it got none: nobody may be left to raise it to."""
        try:
            self._known[key] = await self._names.resolve(key[0], key[1], family)
        except OSError as failure:
            return failure
        finally:
            del self._under_way[key]
        return None


def share_among_replicas(proxy: RemoteProxy[Any], workers: int) -> bool:
    """Makes a connection for each call to a runner that may have several processes.

    On the network the addresses of its name then take turns, and one that does not answer is passed over; beside the
    API its processes accept from one socket, and the one that is idle is the quickest. Connections that are kept belong
    to whoever accepted them: all of them to one replica, or by chance to one of two processes.

    Args:
        proxy: What calls it.
        workers: Its processes on one machine.

    Returns:
        Whether it is on the network, and not beside the API.
    """
    remote = proxy.to_async
    on_network = bool(remote.url.startswith(("http://", "https://")))
    if on_network:
        remote._session_manager._make_client = lambda: _session(remote)  # BentoML takes no connector
    elif workers > 1:
        remote.default_headers["Connection"] = "close"  # of the session that its first call opens
    return on_network


def _session(remote: Any) -> aiohttp.ClientSession:
    """What BentoML's client would open at its first call, with addresses that are looked up as above."""
    connector = aiohttp.TCPConnector(force_close=True, ttl_dns_cache=ADDRESSES_KEPT_S, resolver=LastKnown())
    return aiohttp.ClientSession(
        base_url=remote.url,
        headers=remote.default_headers,
        timeout=aiohttp.ClientTimeout(total=remote.timeout),
        connector=connector,
    )
