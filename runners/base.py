"""What all runners share: a predictor as a BentoML service.

A runner's port unpickles what it is sent (that is how BentoML services talk to one another): it is for the API service
alone, on a Unix socket, the loopback interface or an internal network.
"""

from __future__ import annotations

import logging
import time
from typing import Annotated, Any, ClassVar

import bentoml
from bentoml.models import BentoModel
from bentoml.validators import ContentType

from core import metrics, tracing
from core.settings import get_settings
from core.trimming import trimmer
from engine.predictor import Predictor
from engine.select import streams
from models.messages import InferenceRequest, InferenceResult, ServedModel
from models.spec import ModelSpec
from models.store import Entry, WeightsError, tag_to_serve
from runners.batcher import BatchSlots, install_batcher
from runners.lifetime import RunnerProcess, give_up

log = logging.getLogger("bundle.runner")

# BentoML's batcher merges what several API workers send up to this many items; the predictor cuts them to its budget.
LARGEST_BATCH = 1024

install_batcher()

# Without its content type, BentoML works out the JSON schema of the type anew for every single answer: up to a third of
# what a call costs.
Answers = Annotated[list[InferenceResult], ContentType("application/json")]


def stored_model(spec: ModelSpec) -> BentoModel:
    """The store entry that a runner serves, by the configured profile."""
    return BentoModel(tag_to_serve(spec, get_settings().profile))


def service_options(*specs: ModelSpec, name: str = "") -> dict[str, Any]:
    """Arguments of ``@bentoml.service`` for a model's runner, or for that of several.

    Workers come from the settings; BentoML's own ``BENTOML_CONFIG_OPTIONS='services.VoiceGender.workers=2'`` overrides
    them, and anything else here.

    Args:
        *specs: The models.
        name: Of the service; that of a model's own runner where there is none.
    """
    settings = get_settings()
    return {
        "name": name or specs[0].runner,
        "workers": max(settings.runner(spec.name).workers for spec in specs),
        # The API bounds every request itself; a shorter limit here would answer in another shape.
        "traffic": {"timeout": settings.request_timeout_s + 60},
        # BentoML's client otherwise closes its shared session every 100 requests, with calls in flight: answers of 500
        # under plain concurrency (bentoml/BentoML#5540).
        "runner_connection": {"max_requests": 1_000_000_000, "max_age": 1e9},
        "logging": {"access": {"enabled": False}},
        # Its metrics of calls are the API's own (``core.metrics``), measured once more for every call.
        "metrics": {"enabled": False},
        "tracing": tracing.OFF_IN_BENTOML,
        # In each a batch is computed; without it BentoML computes one at a time.
        "threads": sum(streams(settings, spec.name) for spec in specs),
    }


class ModelRunner(RunnerProcess):
    """Answers with one model; a subclass names its ``spec`` and its ``stored`` entry."""

    spec: ClassVar[ModelSpec]
    stored: ClassVar[Any]

    def __init__(self) -> None:
        started = time.perf_counter()
        tracing.start(self.spec.runner)
        # On an instance, BentoML gives the resolved entry.
        self.predictor = Predictor.open(self.spec, self._entry())
        BatchSlots.most = max(BatchSlots.most, self.predictor.engine.streams)
        self._warm_up()
        trimmer().note_work()
        metrics.MODEL.labels(self.spec.name, self.predictor.entry.tag, self.predictor.engine.description).set(1)
        log.info(
            "%s serves %s with %s, warm after %.2f s",
            self.spec.runner,
            self.predictor.entry.tag,
            self.predictor.engine.description,
            time.perf_counter() - started,
        )

    @bentoml.api(batchable=True, max_batch_size=LARGEST_BATCH)  # type: ignore[untyped-decorator]
    def predict(self, requests: list[Any]) -> Answers:
        """Answers for a batch of decoded inputs, one outcome for each, in order.

        Args:
            requests: The fields of ``InferenceRequest``, whose type is lost on the way from the API process.
        """
        batch = [InferenceRequest(*fields[: len(InferenceRequest._fields)]) for fields in requests]  # of any version
        parents = [request.traceparent for request in batch]
        try:
            with tracing.shared(f"runner {self.spec.name}", parents, "server") as spans:
                return self.predictor.answer_requests(
                    [p._replace(traceparent=s) for p, s in zip(batch, spans, strict=True)]
                )
        finally:
            trimmer().note_work()

    @bentoml.api  # type: ignore[untyped-decorator]
    async def served(self) -> ServedModel:
        """The store entry that this runner serves; the API's probes ask for it too."""
        return ServedModel(
            tag=self.predictor.entry.tag, checkpoint=self.predictor.checkpoint, batches=self.predictor.batches
        )

    def _entry(self) -> Entry:
        """The stored entry; with one that is not as it was saved this process ends, after one line that says so."""
        try:
            return Entry.open(self.stored)
        except WeightsError as error:
            log.critical("%s does not start: %s", self.spec.runner, error)
            give_up()

    def _warm_up(self) -> None:
        """Answers once with an example, so that the first caller does not pay for what is done only once.

        Raises:
            RuntimeError: The model does not answer.
        """
        outcome = self.predictor.warm_up()
        if outcome.kind != "ok":
            raise RuntimeError(f"{self.spec.name} does not answer: {outcome.error}")
