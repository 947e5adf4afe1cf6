"""A model as the API process sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.spec import ModelSpec
from scheduling.queue import ModelQueue

if TYPE_CHECKING:  # which imports aiohttp, in 0.25 s
    from scheduling.runner_client import Runner


@dataclass(frozen=True, slots=True)
class Model:
    """One model as the API process sees it.

    Attributes:
        bundled: What it is where the bundled entry is served.
        client: What answers: the way to its runner.
        queue: What is waiting for it.
    """

    bundled: ModelSpec
    client: Runner
    queue: ModelQueue

    @property
    def spec(self) -> ModelSpec:
        """What it is, as its runner said last."""
        served = self.client.known
        return served.describe(self.bundled) if served else self.bundled
