"""The operations in one process: decoding, queue, models and joining as behind the service, but without runners."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from core.resources import cores
from core.settings import Settings
from engine.predictor import Predictor
from media.fetch import Fetcher, FetchLimits
from models import registry
from models.messages import InferenceRequest, InferenceResult, SceneEntry, ServedModel
from scheduling.queue import ModelQueue
from storage.cache import open_cache
from storage.latest import LatestResult
from tasks.run import Context, Model

MAX_QUEUE_WAIT_S = 1e9  # nobody is refused: files wait for one another


class LocalRunner:
    """Answers with the bundled weights of one model.

    Args:
        name: The model.
        settings: The engine's apply.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self._predictor = Predictor.bundled(name, settings)
        self.known = ServedModel(tag=self._predictor.entry.tag)
        self.streams = self._predictor.engine.streams
        self._threads = ThreadPoolExecutor(self.streams, thread_name_prefix=name)

    async def predict(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        """Answers for a batch, in order."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._predictor.answer_requests, requests
        )

    async def alive(self) -> bool:
        """It is here."""
        return True

    async def served(self) -> ServedModel:
        """The bundled weights."""
        return self.known


def local_context(settings: Settings, names: Sequence[str]) -> Context:
    """The context of the operations, with models in this process; nothing is written.

    Args:
        settings: The configuration: limits, weights and threshold of the ensemble, options of the engine.
        names: The models that will be asked.
    """
    return Context(
        settings=settings,
        models={name: _model(name, settings) for name in names},
        threads=ThreadPoolExecutor(cores(), thread_name_prefix="decode"),
        fetcher=Fetcher(FetchLimits.of(settings)),
        cache=open_cache(None, settings.data_dir, SceneEntry, namespace="audio-scene", ttl_s=0),
        latest=LatestResult(settings.data_dir),
        redis=None,
    )


def _model(name: str, settings: Settings) -> Model:
    runner = LocalRunner(name, settings)
    options = settings.runner(name)
    queue = ModelQueue(
        name,
        runner.predict,
        max_in_flight=runner.streams,
        max_batch_items=options.batch_items,
        max_batch_cost=options.batch_cost,
        max_queue_wait_s=MAX_QUEUE_WAIT_S,
    )
    return Model(registry.specs()[name], runner, queue)
