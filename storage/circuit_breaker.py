"""Keeps a store that is down from slowing every request: after a failure it is left alone for some seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger("bundle.store")

REST_S = 5.0  # a restarted store is back in use after this; one request in this time pays the time-out


class StoreUnavailable(Exception):  # noqa: N818 - a state, not a mistake
    """The store did not do what was asked; callers go on without it."""


class CircuitBreaker:
    """Runs calls to one store, and refuses them at once while it rests after a failure."""

    def __init__(
        self,
        name: str,
        failures: tuple[type[Exception], ...],
        *,
        timeout_s: float,
        rest_s: float = REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes its bounds.

        Args:
            name: What the log calls the store.
            failures: Exceptions that mean that the store is down.
            timeout_s: Longest time for one call (seconds).
            rest_s: How long the store is left alone after a failure (seconds).
            clock: Monotonic clock (seconds).
        """
        self._name = name
        self._failures: tuple[type[Exception], ...] = (*failures, TimeoutError)
        self._timeout_s = timeout_s
        self._rest_s = rest_s
        self._clock = clock
        self._resting_until: float | None = None

    async def call(self, action: Callable[[], Awaitable[T]]) -> T:
        """Runs one call.

        Args:
            action: Makes the call.

        Raises:
            StoreUnavailable: It failed or took too long, or the store rests.
        """
        was_down = self._resting_until is not None
        if self._resting_until is not None:
            if self._clock() < self._resting_until:
                raise StoreUnavailable(self._name)
            self._resting_until = self._clock() + self._rest_s  # this call tries; the others go on resting
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await action()
        except self._failures as error:
            if self._resting_until is None:
                log.warning(
                    "store is down, going on without it", extra={"store": self._name, "why": type(error).__name__}
                )
            self._resting_until = self._clock() + self._rest_s
            raise StoreUnavailable(self._name) from error
        if was_down and self._resting_until is not None:
            self._resting_until = None
            log.info("store is back", extra={"store": self._name})
        return answer
