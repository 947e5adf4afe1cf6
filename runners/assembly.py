"""Puts the parts of the API process together when it starts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from _bentoml_impl.client import RemoteProxy
from bentoml._internal.configuration.containers import BentoMLContainer

from core import metrics
from core.resources import cores
from core.settings import Settings
from engine.select import streams
from media.fetch import Fetcher, FetchLimits
from models import registry
from models.messages import SceneEntry
from models.spec import ModelSpec
from runners.connections import share_among_replicas
from scheduling.policy import DecodingEstimator
from scheduling.queue import ModelQueue
from scheduling.runner_client import RunnerClient
from storage.cache import open_cache
from storage.latest import LatestResult
from storage.redis_client import RedisClient
from tasks.run import Context, Model

# Batches under way at once for a runner on the network, which may have replicas that the API does not know of. What
# is too much for one replica is put together again by its own batcher.
MAX_IN_FLIGHT_ON_NETWORK = 4


def assemble(settings: Settings, runners: Mapping[str, Any]) -> Context:
    """Makes the context of the operations.

    Args:
        settings: The configuration.
        runners: What BentoML resolved each dependency to, by model name.

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
    client = RunnerClient(spec.name, proxy)
    workers = BentoMLContainer.config.services.get().get(spec.runner, {}).get("workers", 1)
    workers = workers if isinstance(workers, int) else cores()
    max_in_flight = workers * streams(settings, spec.name)
    if share_among_replicas(proxy, workers):
        max_in_flight = max(max_in_flight, MAX_IN_FLIGHT_ON_NETWORK)
    options = settings.runner(spec.name)
    queue = ModelQueue(
        spec.name,
        client.predict,
        max_in_flight=max_in_flight,
        max_batch_items=options.batch_items,
        max_batch_cost=options.batch_cost,
        max_queue_wait_s=settings.queue_latency_s,
        ensure_up=client.ensure_up,
    )
    return Model(spec, client, queue)
