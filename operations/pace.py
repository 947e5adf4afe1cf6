"""How fast work is done, as measured, and how long what is here will take by that."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median_low

# Pieces of work whose pace is remembered. Their lower median counts: a runner that was starting, restarted or stopped
# for a while makes one batch last seconds, and one such batch must not make the queue refuse those who come after it.
REMEMBERED = 9


@dataclass(slots=True)
class Pace:
    """The pace of work that is done in several places at once.

    Attributes:
        places: How many.
    """

    places: int = 1
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _under_way: list[tuple[float, float]] = field(default_factory=list)

    @property
    def known_s(self) -> float | None:
        """Time for a unit of cost (seconds); None until something has been done."""
        return median_low(self._times) if self._times else None

    def note(self, seconds: float, cost: float = 1.0) -> None:
        """Remembers a piece of work that has been done; to be called in any thread."""
        self._times.append(seconds / cost)

    @contextlib.contextmanager
    def here(self, cost: float = 1.0) -> Iterator[None]:
        """Counts a piece of work as under way."""
        begun = time.monotonic(), cost
        self._under_way.append(begun)
        try:
            yield
        finally:
            self._under_way.remove(begun)

    @contextlib.contextmanager
    def work(self, cost: float) -> Iterator[None]:
        """Counts a piece of work, and times it; one that fails says nothing about the pace.

        Of pieces beyond the places, which wait for one, the time counts in part.
        """
        started = time.monotonic()
        with self.here(cost):
            crowd = max(self.places, len(self._under_way))
            yield
        self.note((time.monotonic() - started) * self.places / crowd, cost)

    def expected_wait_s(self, waiting: float) -> float:
        """Time until all that is under way, and what waits, will have been done (seconds).

        Where every place is busy with what takes longer than it should, it is expected to be late by as much again;
        before anything has been done at all, the oldest piece under way shows the pace.

        Args:
            waiting: Cost of what waits.
        """
        under_way = [(time.monotonic() - begun, cost) for begun, cost in self._under_way]
        pace = self.known_s
        if pace is None:
            pace = under_way[0][0] / under_way[0][1] if under_way else 0.0
        late = min(age - cost * pace for age, cost in under_way) if len(under_way) >= self.places else 0.0
        return (waiting + sum(cost for _, cost in under_way)) * pace / self.places + max(0.0, late)
