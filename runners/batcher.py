"""BentoML's batcher, without its waiting.

For its first calls after every start it holds a lone item back, to learn how a batch's time grows with its size, and
later as long as it has seen others wait. Company gathers in the API's queue, which waits for none; here an item goes as
soon as the model is free, with whatever has come in the meantime.
"""

from __future__ import annotations

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


def install() -> None:
    """Makes the batchers of this process, which BentoML makes when it serves, such that they do not wait."""
    dispatcher.Optimizer = NoWaiting  # type: ignore[misc]  # a class is replaced
