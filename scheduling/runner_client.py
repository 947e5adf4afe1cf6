"""Calls to one runner: retried when a connection broke, given up when the runner is down."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import aiohttp
from bentoml.exceptions import BentoMLException

from core import metrics
from core.errors import InternalError, ServiceError, Unavailable
from models.messages import InferenceRequest, InferenceResult, ServedModel

log = logging.getLogger("bundle.runner_client")

# A kept-alive connection may be closed by the runner at the very moment it is used again, and a killed runner drops
# what it held. Sending the same batch again is harmless: answering changes nothing.
TRIES = 3
RETRY_PAUSE_S = 0.02
# A runner computes in a thread, so its event loop answers a probe at once even under full load. One that has been
# silent for this long is down: a killed process is back within 2 to 3 s, and its callers need not notice.
PROBE_EVERY_S = 1.0
PROBE_TIMEOUT_S = 1.0
SILENT_PROBES = 5
RETRY_AFTER_S = 3.0
# What a runner serves changes only while it is started again, which takes longer than this.
KNOWN_FOR_S = 1.0


class Runner(Protocol):
    """What answers for one model."""

    async def predict(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        """Answers for a batch, in order."""

    async def alive(self) -> bool:
        """Whether it would answer."""

    @property
    def known(self) -> ServedModel | None:
        """What it serves, as it said last; None before it has said so."""

    async def served(self) -> ServedModel:
        """What it serves at this moment."""


class RunnerClient:
    """The API's side of one runner.

    Args:
        name: The model, for messages and metrics.
        proxy: What ``bentoml.depends`` resolves to for a runner in another process.
        suffix: What the methods of the model end in there, where it shares the process with others.
    """

    def __init__(self, name: str, proxy: Any, suffix: str = "") -> None:
        self.name = name
        self._remote = proxy.to_async
        self._suffix = suffix
        self._down_since: float | None = None
        self._why = ""  # why it was not reached the last time, for the log
        self.known: ServedModel | None = None
        self._asked_at = -math.inf

    async def predict(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        """Sends a batch.

        Args:
            requests: Its items, and whose they are.

        Raises:
            Unavailable: The runner is down.
            InternalError: It failed on the whole batch.
        """
        if self._down_since is not None and not await self.alive():
            raise self._unavailable()
        outcomes = await self._tried(requests)
        if outcomes is None and await self.alive():  # a replica that starts or ends lost it, another one is there
            outcomes = await self._tried(requests)
        if outcomes is None:
            raise self._unavailable()
        metrics.RUNNER_UP.labels(self.name).set(1)
        if self.known is None or any(outcome.model != self.known.tag for outcome in outcomes):
            await self.alive()  # it was started again, with another entry
        return outcomes

    async def _tried(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult] | None:
        """Sends a batch up to ``TRIES`` times; None when each connection broke."""
        for attempt in range(TRIES):
            try:
                with metrics.CALL_SECONDS.labels(self.name).time():
                    return await self._watched(requests)
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:  # before, or amid, an answer
                self._why = repr(error)
                if attempt + 1 < TRIES:
                    metrics.RUNNER_RETRIES.labels(self.name).inc()
                    await asyncio.sleep(RETRY_PAUSE_S * (attempt + 1))
            except TimeoutError as error:  # more time than any request has
                self._why = repr(error)
                raise self._unavailable() from error
            except (BentoMLException, aiohttp.ClientError) as error:
                request_ids = sorted({request.request_id for request in requests})
                log.exception("the %s runner failed on a batch", self.name, extra={"requests": request_ids})
                raise InternalError(f"the {self.name} model failed") from error
        return None

    def ensure_up(self) -> None:
        """Asks nothing of the runner.

        Raises:
            Unavailable: It was down when it was last called or probed.
        """
        if self._down_since is not None:
            raise self._unavailable()

    async def served(self) -> ServedModel:
        """What the runner serves, as it said within ``KNOWN_FOR_S``; where it does not answer, what it said last.

        Raises:
            Unavailable: It is down, and has never said.
        """
        if self.known is None or time.monotonic() - self._asked_at > KNOWN_FOR_S:
            self._asked_at = time.monotonic()  # calls in the meantime use the last known answer
            await self.alive()
        if self.known is None:
            raise self._unavailable()
        return self.known

    async def alive(self) -> bool:
        """Whether the runner says within ``PROBE_TIMEOUT_S`` what it serves."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                self.known = await self._ask()
            alive, self._why, self._asked_at = True, "", time.monotonic()
        except (TimeoutError, aiohttp.ClientError, BentoMLException, OSError) as error:
            alive, self._why = False, repr(error)
        metrics.RUNNER_UP.labels(self.name).set(alive)
        if alive:
            self._down_since = None
        return alive

    async def _ask(self) -> ServedModel:
        """Asks twice where a connection that was kept turns out to have been closed."""
        try:
            answer: ServedModel = await self._method("served")()
        except aiohttp.ClientConnectionError:
            answer = await self._method("served")()
        return answer

    async def _watched(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        """Waits for the answer as long as the runner shows signs of life."""
        call = asyncio.ensure_future(self._method("predict")(requests=list(requests)))
        silent = 0
        try:
            while True:
                await asyncio.wait({call}, timeout=PROBE_EVERY_S)
                if call.done():
                    answer: Sequence[InferenceResult] = call.result()
                    return answer
                silent = 0 if await self.alive() else silent + 1
                if silent >= SILENT_PROBES and not call.done():  # the answer may have come during the last probe
                    raise self._unavailable()
        finally:
            call.cancel()
            del call  # breaks the reference cycle of a failure, which keeps the items (``storage.cache``)

    def _method(self, name: str) -> Callable[..., Awaitable[Any]]:
        """A method of the runner, by its name in a process of the model's own."""
        method: Callable[..., Awaitable[Any]] = getattr(self._remote, name + self._suffix)
        return method

    def _unavailable(self) -> ServiceError:
        if self._down_since is None:
            self._down_since = time.monotonic()
            metrics.RUNNER_UP.labels(self.name).set(0)
            log.error("the %s runner is down", self.name, extra={"why": self._why})
        return Unavailable(f"the {self.name} model is not available at the moment", retry_after=RETRY_AFTER_S)
