"""BentoML's batcher, without its waiting, and with several batches at once.

For its first calls after every start it holds a lone item back, to learn how a batch's time grows with its size, and
later as long as it has seen others wait. Batches gather in the API's queue; in the runner an item goes as
soon as the model is free, with whatever has come in the meantime. And it computes one batch at a time, where the engine
has several streams.
"""

from __future__ import annotations

from typing import ClassVar

from bentoml._internal.marshal import dispatcher


class NoWaiting(dispatcher.Optimizer):
    """Expects calls to cost nothing, so that there is nothing to be gained by waiting; learns nothing."""

    def __init__(self, max_latency: float) -> None:
        super().__init__(max_latency)
        self.o_a = self.o_b = self.wait = 0

    def log_outbound(self, n: int, wait: float, duration: float) -> None:
        """Forgets it."""

    def trigger_refresh(self) -> None:
        """Has learned nothing."""


class Places(dispatcher.NonBlockSema):
    """The batches under way of one batcher.

    Attributes:
        most: How many there may be at once in this process, which serves one model; known once that is open.
    """

    most: ClassVar[int] = 1

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._taken = 0

    def acquire(self) -> bool:
        """Takes a place, if one is free."""
        if self.is_locked():
            return False
        self._taken += 1
        return True

    def is_locked(self) -> bool:
        """Whether none is free."""
        return self._taken >= self.most

    def release(self) -> None:
        """Gives one back."""
        self._taken -= 1


def install() -> None:
    """Makes the batchers of this process, which BentoML makes when it serves, such as this module says."""
    dispatcher.NonBlockSema = Places  # type: ignore[misc]  # a class is replaced
    dispatcher.Optimizer = NoWaiting  # type: ignore[misc]  # a class is replaced
