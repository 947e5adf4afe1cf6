"""Measured throughput, and the waits that are expected by it."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median_low

# Pieces of work whose time is remembered. Their lower median counts: a runner that was started or stopped for a while
# makes one batch last seconds, and one such batch must not make the queue refuse the next requests.
REMEMBERED = 9


@dataclass(slots=True)
class ThroughputEstimator:
    """Time for a unit of work that is done in several places at once.

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
    def under_way(self, cost: float = 1.0) -> Iterator[None]:
        """Counts a piece of work as under way."""
        begun = time.monotonic(), cost
        self._under_way.append(begun)
        try:
            yield
        finally:
            self._under_way.remove(begun)

    @contextlib.contextmanager
    def work(self, cost: float) -> Iterator[None]:
        """Counts a piece of work, and times it; one that fails says nothing about the throughput.

        Of pieces beyond the places, which wait for one, the time counts in part.
        """
        started = time.monotonic()
        with self.under_way(cost):
            crowd = max(self.places, len(self._under_way))
            yield
        self.note((time.monotonic() - started) * self.places / crowd, cost)

    def expected_work_s(self, cost: float) -> float:
        """Time that work of so much cost adds where every place is busy (seconds); 0 before the throughput is known."""
        return cost * (self.known_s or 0.0) / self.places

    def expected_wait_s(self, waiting: float) -> float:
        """Time until all that is under way, and what waits, will have been done (seconds).

        Where every place is busy with what takes longer than it should, it is expected to be late by as much again;
        before anything has been done at all, the age of the oldest piece under way is taken for its time.

        Args:
            waiting: Cost of what waits.
        """
        under_way = [(time.monotonic() - begun, cost) for begun, cost in self._under_way]
        throughput = self.known_s
        if throughput is None:
            throughput = under_way[0][0] / under_way[0][1] if under_way else 0.0
        late = min(age - cost * throughput for age, cost in under_way) if len(under_way) >= self.places else 0.0
        return (waiting + sum(cost for _, cost in under_way)) * throughput / self.places + max(0.0, late)


# Pieces of each kind of decoding whose time and size are remembered, and how many of them are left out, the longest
# first: a process that was stopped for a while says nothing about its work.
REMEMBERED_OF_A_KIND = 32
OUTLIERS = 1
OVERHEAD_BYTES = 4096  # what a piece costs besides its bytes, in bytes


@dataclass(slots=True)
class Rate:
    """How long work of one kind takes for its size."""

    _done: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_OF_A_KIND))

    def note(self, seconds: float, size: int) -> None:
        """Remembers a piece that has been done; to be called in any thread."""
        self._done.append((seconds, size + OVERHEAD_BYTES))

    def seconds(self, size: int) -> float:
        """Expected time of a piece of so many bytes; 0 until one has been done.

        All of the time by all of the size, and no median of pieces: those that take long are what others wait for.
        """
        done = sorted(self._done)
        done = done[:-OUTLIERS] if len(done) > OUTLIERS else done
        bytes_ = sum(size for _, size in done)
        return sum(seconds for seconds, _ in done) / bytes_ * (size + OVERHEAD_BYTES) if bytes_ else 0.0


@dataclass(slots=True)
class DecodingEstimator:
    """What is parsed and decoded in the threads, each piece measured by its kind and size.

    Attributes:
        places: Threads.
    """

    places: int = 1
    _rates: dict[str, Rate] = field(default_factory=dict)
    _under_way: list[tuple[float, float]] = field(default_factory=list)

    def note(self, kind: str, seconds: float, size: int) -> None:
        """Remembers a piece that has been done; to be called in any thread."""
        self._rates.setdefault(kind, Rate()).note(seconds, size)

    @contextlib.contextmanager
    def under_way(self, kind: str, size: int) -> Iterator[None]:
        """Counts a piece as waiting or under way."""
        piece = time.monotonic(), self._rates[kind].seconds(size) if kind in self._rates else 0.0
        self._under_way.append(piece)
        try:
            yield
        finally:
            self._under_way.remove(piece)

    def expected_wait_s(self) -> float:
        """Time until all pieces will have been done (seconds); late where every thread takes too long."""
        now = time.monotonic()
        late = min(now - begun - cost for begun, cost in self._under_way) if len(self._under_way) >= self.places else 0
        return sum(cost for _, cost in self._under_way) / self.places + max(0.0, late)

    @property
    def each_s(self) -> float:
        """Time that one piece more of the usual kind adds (seconds)."""
        count = len(self._under_way)
        return sum(cost for _, cost in self._under_way) / count / self.places if count else 0.0
