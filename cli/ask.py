"""Asks a question about every source, with the models in this process: read, decoded and answered together.

The operations are those behind the service (decoding, queue, models, joining), but without runners. Answers are
reported in the order of their sources.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.progress import Progress

from cli.files import Source, StandardInput, Url
from cli.reports import PCM, File, Output, Report, ask
from core.errors import PayloadTooLarge, ServiceError
from core.resources import cores
from core.settings import Settings, get_settings
from engine.predictor import Predictor
from media.fetch import Fetcher, FetchLimits
from media.pcm import PcmFormat
from models import registry
from models.messages import InferenceRequest, InferenceResult, SceneEntry, ServedModel
from scheduling.queue import Model, ModelQueue
from storage.cache import open_cache
from storage.latest import LatestResult
from tasks.questions import Question, questions
from tasks.run import Context

MAX_QUEUE_WAIT_S = 1e9  # no file is refused: they wait for one another


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
        """Always: it runs in this process."""
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
        bounds=options.bounds,
        max_queue_wait_s=MAX_QUEUE_WAIT_S,
    )
    return Model(registry.specs()[name], runner, queue)


AT_ONCE = 16  # files that are read and decoded ahead of the models


async def answer_all(
    options: argparse.Namespace, sources: Sequence[Source], output: Output, progress: Progress
) -> bool:
    """Asks about all sources; one that fails stops none of the others.

    Returns:
        Whether each has an answer.
    """
    question = questions()[options.question]
    context = local_context(get_settings(), question.models)
    gate = asyncio.Semaphore(AT_ONCE)
    task = progress.add_task(options.question, total=len(sources))

    async def one(source: Source) -> Report:
        async with gate:
            found = await report(context, question, source, options)
            progress.advance(task)
            return found

    answered = True
    try:
        for asked in [asyncio.ensure_future(one(source)) for source in sources]:
            found = await asked
            answered &= "error" not in found
            output.add(found)
    finally:
        await context.close()
    return answered


async def report(context: Context, question: Question, source: Source, options: argparse.Namespace) -> Report:
    """What is said of one source: the answer, or what is wrong with it."""
    try:
        layout = PcmFormat(options.sample_rate, options.num_channels, options.sample_width)
        data = await read(context, source)
        raw = options.pcm or source.suffix in PCM
        found = await ask(context, question, File(data, raw, layout, options.amplification_factor))
    except ServiceError as error:
        return {"file": source.name, "error": error.message}
    except OSError as error:
        return {"file": source.name, "error": (error.strerror or "it cannot be read").lower()}
    except Exception as error:  # a model that fails on this file; the others are still asked about
        return {"file": source.name, "error": f"the model failed: {error}"}
    return {"file": source.name, **found}


async def read(context: Context, source: Source) -> bytes:
    """The content of a source.

    Raises:
        PayloadTooLarge: It has more bytes than a request may have.
        ServiceError: As ``Fetcher.fetch``.
        OSError: It cannot be read.
    """
    most = context.settings.max_body_bytes
    if isinstance(source, Url):
        return await context.fetcher.fetch(source.name)
    data = await asyncio.to_thread(source.read, most + 1)
    if len(data) > most:
        what = "standard input" if isinstance(source, StandardInput) else "the file"
        raise PayloadTooLarge(f"{what} is larger than {most} bytes")
    return data
