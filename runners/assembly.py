"""Puts the parts of the API process together when it starts, the connections to the runners among them.

The connections decide which replica each call goes to, and keep its address.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import aiohttp
from _bentoml_impl.client import RemoteProxy
from aiohttp.abc import AbstractResolver, ResolveResult
from bentoml._internal.configuration.containers import BentoMLContainer

from core import metrics
from core.resources import cores
from core.settings import Settings
from engine.select import streams
from media.fetch import Fetcher, FetchLimits
from models import registry
from models.messages import SceneEntry
from models.spec import ModelSpec
from runners import places
from scheduling.queue import Model, ModelQueue
from scheduling.runner_client import RunnerClient
from scheduling.throughput import DecodingEstimator
from storage.cache import open_cache
from storage.latest import LatestResult
from storage.redis_client import RedisClient
from tasks.run import Context

# A replica that came or went is noticed after so long. A killed runner is back, at another address, in less than
# aiohttp's own 10 s.
ADDRESSES_KEPT_S = 2
# A name server that is well answers within milliseconds; where a datagram is lost, the C library waits 5 s.
LOOKUP_TIMEOUT_S = 0.5
# A name server that restarts is back within seconds; much older addresses may belong to other hosts.
TRUSTED_S = 60.0
# Threads of its own, so that a stuck lookup holds up no other work. Callers choose the names of downloads, so lookups
# of these must not hold up a runner.
_THREADS = ThreadPoolExecutor(16, thread_name_prefix="runner-dns")

Name = tuple[str, int]  # and port


class Found(NamedTuple):
    """Addresses of a name, and when they were found (monotonic, seconds)."""

    addresses: list[ResolveResult]
    at: float


class ResolverCache(AbstractResolver):
    """Looks up names; where no answer comes in time, the last one is used for a while.

    Podman's name server drops questions, or knows no name, for the moment in which a container of its network comes or
    goes; a cluster's does while it restarts.
    """

    def __init__(self, *, lookup_timeout_s: float = LOOKUP_TIMEOUT_S, trusted_s: float = TRUSTED_S) -> None:
        """Knows of nothing yet.

        Args:
            lookup_timeout_s: How long an answer is waited for where there is an earlier one (seconds).
            trusted_s: How long an earlier one is good for (seconds).
        """
        self._lookup_timeout_s = lookup_timeout_s
        self._trusted_s = trusted_s
        self._found: dict[Name, Found] = {}
        self._under_way: dict[Name, asyncio.Task[OSError | None]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Returns the addresses of a name.

        Raises:
            OSError: It has none, and had none within the time that an earlier answer is good for.
        """
        name = host, port
        lookup = self._under_way.get(name)
        if lookup is None:
            lookup = self._under_way[name] = asyncio.create_task(self._look_up(name, family))
        await asyncio.wait({lookup}, timeout=self._lookup_timeout_s if self._trusted(name) else None)
        if not self._trusted(name) and (failure := await asyncio.shield(lookup)):
            raise failure
        return self._found[name].addresses

    async def close(self) -> None:
        """Has nothing to close; aiohttp asks for it."""

    def _trusted(self, name: Name) -> bool:
        found = self._found.get(name)
        return found is not None and time.monotonic() - found.at < self._trusted_s

    async def _look_up(self, name: Name, family: socket.AddressFamily) -> OSError | None:
        """Remembers the addresses of a name, or returns why it got none: there may be no caller left to raise it to."""
        try:
            addresses = await asyncio.get_running_loop().run_in_executor(_THREADS, _addresses, *name, family)
        except OSError as failure:
            return failure
        finally:
            del self._under_way[name]
        self._found[name] = Found(addresses, time.monotonic())
        return None


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    """Asks the C library; OSError where it finds nothing."""
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=numeric)
        for kind, _, protocol, _, address in found
    ]


def share_among_replicas(proxy: RemoteProxy[Any], workers: int) -> bool:
    """Makes a connection for each call to a runner that may have several processes.

    On the network the addresses of its name are then used in turn, and one that does not answer is skipped; beside the
    API its processes accept from one socket, and the one that is idle is the quickest. Connections that are kept belong
    to the process that accepted them: all of them to one replica, or by chance to one of two processes.

    Args:
        proxy: What calls it.
        workers: Its processes on one machine.

    Returns:
        Whether it is on the network, and not beside the API.
    """
    remote = proxy.to_async
    on_network = bool(remote.url.startswith(("http://", "https://")))
    if on_network:
        remote._session_manager._make_client = lambda: _session(remote)  # noqa: SLF001 - BentoML takes no connector
    elif workers > 1:
        remote.default_headers["Connection"] = "close"  # of the session that its first call opens
    return on_network


def _session(remote: Any) -> aiohttp.ClientSession:
    """What BentoML's client would open at its first call, with addresses that are looked up as above.

    There is one for each runner: BentoML's own limit of 100 requests is lifted by ``runner_connection``.
    """
    connector = aiohttp.TCPConnector(force_close=True, ttl_dns_cache=ADDRESSES_KEPT_S, resolver=ResolverCache())
    return aiohttp.ClientSession(
        base_url=remote.url,
        headers=remote.default_headers,
        timeout=aiohttp.ClientTimeout(total=remote.timeout),
        connector=connector,
    )


# Batches under way at once for a runner on the network, which may have replicas that the API does not know of. What
# is too much for one replica is put together again by its own batcher.
MAX_IN_FLIGHT_ON_NETWORK = 4


def assemble(settings: Settings, runners: Mapping[str, Any]) -> Context:
    """Makes the context of the operations.

    Args:
        settings: The configuration.
        runners: What BentoML resolved each dependency to, by the model that is asked there.

    Raises:
        SystemExit: A runner would be loaded into this process, because the deployment does not say where it is.
    """
    local = [name for name, proxy in runners.items() if not isinstance(proxy, RemoteProxy)]
    if local:
        sys.exit(f"configuration error: no address for the runners of {', '.join(local)}")
    redis = RedisClient(str(settings.redis_url)) if settings.redis_url else None
    threads = cores() + 1  # one more, for when one waits for the disk
    return Context(
        settings=settings,
        models={name: _model(registry.specs()[name], proxy, settings) for name, proxy in runners.items()},
        threads=ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decode"),
        decoding=DecodingEstimator(threads),
        fetcher=Fetcher(FetchLimits.of(settings)),
        cache=open_cache(redis, settings.data_dir, SceneEntry, namespace="audio-scene", ttl_s=settings.cache_ttl_s),
        latest=LatestResult(settings.data_dir, redis),
        redis=redis,
    )


def _model(spec: ModelSpec, proxy: RemoteProxy[Any], settings: Settings) -> Model:
    metrics.start_queue(spec.name)
    place = places()[spec.name]
    client = RunnerClient(spec.name, proxy, place.suffix)
    workers = BentoMLContainer.config.services.get().get(place.service.name, {}).get("workers", 1)
    workers = workers if isinstance(workers, int) else cores()
    max_in_flight = workers * streams(settings, spec.name)
    if share_among_replicas(proxy, workers):
        max_in_flight = max(max_in_flight, MAX_IN_FLIGHT_ON_NETWORK)
    options = settings.runner(spec.name)
    queue = ModelQueue(
        spec.name,
        client.predict,
        max_in_flight=max_in_flight,
        bounds=lambda: options.bounds(client.known.batches if client.known else None),
        max_queue_wait_s=settings.queue_latency_s,
        ensure_up=client.ensure_up,
    )
    return Model(spec, client, queue)
