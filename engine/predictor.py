"""One model, ready to answer in this process: pre-processing, engine and calibration, item by item.

Runners, the evaluation and one-off use without a server all answer through this class.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core import metrics, tracing
from core.request import working_for
from core.settings import BatchBounds, RunnerOptions, Settings, get_settings
from engine.batches import measured
from engine.select import Engine, build_engine, is_native
from models import registry
from models.messages import InferenceRequest, InferenceResult
from models.processing import InvalidItem, Prepared, Processor
from models.published.checkpoint import Checkpoint
from models.spec import AudioInput, ModelSpec, cost
from models.store import Entry
from scheduling.policy import plan

log = logging.getLogger("bundle.predictor")

USUAL_S = 5.0  # length of a recording by which batches are measured


class Predictor:
    """Answers with one model; to be called from as many threads at once as its engine has streams.

    Args:
        spec: The model.
        entry: Its files.
        engine: Its network.
        processor: Its pre-processing.
        options: Bounds of a batch.
        remembered: File of the bounds that were measured on a GPU.
    """

    def __init__(
        self,
        spec: ModelSpec,
        entry: Entry,
        engine: Engine,
        processor: Processor,
        options: RunnerOptions,
        remembered: Path | None = None,
    ) -> None:
        self.spec = spec
        self.entry = entry
        self.engine = engine
        self.checkpoint: Checkpoint | None = None
        self.batches: BatchBounds | None = None  # measured on a GPU, when it is warm
        self._remembered = remembered
        self._processor = processor
        self._options = options
        self._padding = engine.padding if options.batch_padding is None else options.batch_padding

    @classmethod
    def open(cls, spec: ModelSpec, entry: Entry, settings: Settings | None = None) -> Self:
        """Opens a store entry with the configured engine.

        Args:
            spec: The model; an imported checkpoint in the entry says how it differs from the bundled one.
            entry: Its files.
            settings: Those of the process where none are given.
        """
        settings = settings or get_settings()
        checkpoint = Checkpoint.load(entry.path)
        processor = checkpoint.processor() if checkpoint else registry.processor(spec.name)
        spec = checkpoint.describe(spec) if checkpoint else spec
        remembered = settings.data_dir / "batches" / f"{spec.name}.json"
        options = settings.runner(spec.name)
        made = cls(spec, entry, build_engine(spec, entry, settings), processor, options, remembered)
        made.checkpoint = checkpoint
        return made

    @classmethod
    def bundled(cls, name: str, settings: Settings | None = None) -> Self:
        """Opens the weights of the source tree, without a model store.

        Args:
            name: A model of the registry.
            settings: As of ``open``.
        """
        settings = settings or get_settings()
        folder = registry.weights if is_native(settings) else registry.complete
        return cls.open(registry.specs()[name], Entry.read(f"{name}:bundled", folder(name)), settings)

    def warm_up(self) -> InferenceResult:
        """Answers an example, so that what is done only once is done before the first caller."""
        item = example(self.spec)
        answered = self.answer([item])[0]  # not a caller's, so before the engine knows that it is warm
        self.engine.warm_up(self._processor.collate([self._processor.prepare(item).features]))
        if self.engine.device and None in (self._options.batch_items, self._options.batch_cost):
            self.batches = self._measure_batches()
        return answered

    def _measure_batches(self) -> BatchBounds:
        """How large a batch has to be for the device; a processor's is left as it is, and starts the sooner."""
        item = example(self.spec, USUAL_S)
        features = self._processor.prepare(item).features

        def seconds_of(items: int) -> float:
            inputs = self._processor.collate([features] * items)
            started = time.perf_counter()
            self.engine.infer(inputs)
            return time.perf_counter() - started

        what = {"tag": self.entry.tag, "device": self.engine.device, "engine": self.engine.description}
        return measured(seconds_of, cost(self.spec, item), self._remembered, self.engine.release, **what)

    def answer(self, items: Sequence[NDArray[Any]]) -> list[InferenceResult]:
        """Answers for decoded inputs, one outcome for each, in order; an item never fails its batch-mates.

        Args:
            items: Audio, float32 [samples] at the model's rate, or pictures, uint8 [height, width, 3] RGB.
        """
        return self.answer_requests([InferenceRequest(item, cost=cost(self.spec, item)) for item in items])

    def answer_requests(self, requests: Sequence[InferenceRequest]) -> list[InferenceResult]:
        """The same, with logs and spans that say whose item it was."""
        outcomes: dict[int, InferenceResult] = {}
        prepared: dict[int, Prepared] = {}
        for index, request in enumerate(requests):
            ready = self._prepare(request)
            if isinstance(ready, InferenceResult):
                outcomes[index] = ready
            else:
                prepared[index] = ready
        order = list(prepared)
        costs = [requests[index].cost for index in order]
        bounds = self._options.bounds(self.batches)
        for batch in plan(costs, bounds.cost, bounds.items, self._padding):
            metrics.observe_batch(self.spec.name, [costs[place] for place in batch])
            indices = [order[place] for place in batch]
            answers = self._infer([prepared[index] for index in indices], [requests[index] for index in indices])
            outcomes.update(zip(indices, answers, strict=True))
        return [outcomes[index] for index in range(len(requests))]

    def _prepare(self, request: InferenceRequest) -> Prepared | InferenceResult:
        """The features of one item, or its answer: what is wrong with it, or what a rule decides."""
        started = time.perf_counter()
        with tracing.shared(f"prepare {self.spec.name}", [request.traceparent]):
            try:
                ready = self._processor.prepare(request.item)
                return self._outcome(ready.verdict, ready) if ready.verdict else ready
            except InvalidItem as error:
                return InferenceResult(model=self.entry.tag, error=str(error), kind="invalid")
            except Exception:
                self._log_failure("could not prepare", [request])
                return self._failed()
            finally:
                metrics.PREPARE_SECONDS.labels(self.spec.name).observe(time.perf_counter() - started)

    def _infer(self, batch: list[Prepared], requests: list[InferenceRequest]) -> list[InferenceResult]:
        """Runs one batch; should the engine fail on it, each item alone, so that only the guilty one fails."""
        try:
            return self._infer_together(batch, [request.traceparent for request in requests])
        except Exception:
            self._log_failure("failed on", requests)
            if len(batch) == 1:
                return [self._failed()]
            return [self._infer([item], [request])[0] for item, request in zip(batch, requests, strict=True)]

    def _infer_together(self, batch: list[Prepared], parents: list[str]) -> list[InferenceResult]:
        started = time.perf_counter()
        about: dict[str, tracing.Attribute] = {"bundle.items": len(batch), "bundle.engine": self.engine.description}
        with tracing.shared(f"engine {self.spec.name}", parents, attributes=about):
            logits = self.engine.infer(self._processor.collate([item.features for item in batch]))
        metrics.ENGINE_SECONDS.labels(self.spec.name).observe(time.perf_counter() - started)
        classes, measures = len(self.spec.classes), self.spec.measures
        if logits.shape != (len(batch), classes + len(measures)):
            raise RuntimeError(f"the engine answered {logits.shape} for {len(batch)} items")
        if not np.isfinite(logits).all():
            raise RuntimeError("the engine answered with numbers that are not finite")
        rows = self.entry.calibration.probabilities(logits[:, :classes]).tolist()
        measured = [dict(zip(measures, row, strict=True)) for row in logits[:, classes:].tolist()]
        return [self._outcome(row, item, values) for row, item, values in zip(rows, batch, measured, strict=True)]

    def _outcome(
        self, probabilities: Sequence[float], item: Prepared, measured: Mapping[str, float] | None = None
    ) -> InferenceResult:
        extras = {**item.extras, **(measured or {})}
        return InferenceResult(model=self.entry.tag, probabilities=list(probabilities), extras=extras)

    def _log_failure(self, what: str, requests: Sequence[InferenceRequest]) -> None:
        """Logs the exception under way, under the request's ids where it is one item's."""
        if len(requests) == 1:
            with working_for(requests[0].request_id, tracing.trace_id(requests[0].traceparent)):
                log.exception("%s %s an item", self.spec.name, what)
        else:
            request_ids = sorted({request.request_id for request in requests})
            log.exception("%s %s %d items", self.spec.name, what, len(requests), extra={"requests": request_ids})

    def _failed(self) -> InferenceResult:
        return InferenceResult(model=self.entry.tag, error=f"the {self.spec.title} model failed", kind="failed")


def example(spec: ModelSpec, seconds: float = 2.0) -> NDArray[Any]:
    """A harmless input: faint noise of some seconds, as far as a window reaches, or a grey picture."""
    if isinstance(spec.input, AudioInput):
        length = round(min(seconds, spec.input.window_s) * spec.input.sample_rate)
        samples = np.random.default_rng(0).standard_normal(length)
        return (0.01 * samples).astype(np.float32)
    return np.full((spec.input.size, spec.input.size, 3), 128, np.uint8)
