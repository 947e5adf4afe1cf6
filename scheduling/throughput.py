"""Expected waits: the time of finished work is measured, and what is to be done is expected to take as long."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median_low


@dataclass(slots=True)
class UnderWay:
    """Pieces of work that are waiting or under way, each with the moment at which it was begun and its cost."""

    _begun: list[tuple[float, float]] = field(default_factory=list)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._begun)

    @contextlib.contextmanager
    def piece(self, cost: float) -> Iterator[None]:
        """Counts a piece."""
        begun = time.monotonic(), cost
        self._begun.append(begun)
        try:
            yield
        finally:
            self._begun.remove(begun)

    @property
    def cost(self) -> float:
        """Of all pieces."""
        return sum(cost for _, cost in self._begun)

    @property
    def oldest_unit_s(self) -> float:
        """Time that the oldest piece has taken until now for a unit of its cost (seconds); 0 where there is none."""
        return (time.monotonic() - self._begun[0][0]) / self._begun[0][1] if self._begun else 0.0

    def wait_s(self, places: int, waiting: float = 0.0, unit_s: float = 1.0) -> float:
        """Time until all pieces, and what waits, will have been done (seconds).

        Where every place is busy with what takes longer than it should, it is expected to be late by as much again.

        Args:
            places: How many pieces are done at once.
            waiting: Cost of what waits.
            unit_s: Time for a unit of cost (seconds).
        """
        now = time.monotonic()
        late = min(now - begun - cost * unit_s for begun, cost in self._begun) if len(self._begun) >= places else 0.0
        return (waiting + self.cost) * unit_s / places + max(0.0, late)


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
    _pieces: UnderWay = field(default_factory=UnderWay)

    @property
    def known_s(self) -> float | None:
        """Time for a unit of cost (seconds); None until something has been done."""
        return median_low(self._times) if self._times else None

    def note(self, seconds: float, cost: float = 1.0) -> None:
        """Remembers a piece of work that has been done; to be called in any thread."""
        self._times.append(seconds / cost)

    def under_way(self, cost: float) -> contextlib.AbstractContextManager[None]:
        """Counts a piece of work as under way."""
        return self._pieces.piece(cost)

    @contextlib.contextmanager
    def work(self, cost: float) -> Iterator[None]:
        """Counts a piece of work, and times it; one that fails says nothing about the throughput.

        Of pieces beyond the places, which wait for one, the time counts in part.
        """
        started = time.monotonic()
        with self.under_way(cost):
            crowd = max(self.places, len(self._pieces))
            yield
        self.note((time.monotonic() - started) * self.places / crowd, cost)

    def expected_work_s(self, cost: float) -> float:
        """Time that work of so much cost adds where every place is busy (seconds); 0 before the throughput is known."""
        return cost * (self.known_s or 0.0) / self.places

    def expected_wait_s(self, waiting: float) -> float:
        """Time until all that is under way, and what waits, will have been done (seconds).

        Before anything has been done at all, the age of the oldest piece under way is taken for its time.

        Args:
            waiting: Cost of what waits.
        """
        unit_s = self._pieces.oldest_unit_s if self.known_s is None else self.known_s
        return self._pieces.wait_s(self.places, waiting, unit_s)


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
    _pieces: UnderWay = field(default_factory=UnderWay)

    def note(self, kind: str, seconds: float, size: int, expected: int | None = None) -> None:
        """Remembers a piece that has been done; to be called in any thread.

        Args:
            kind: Of the piece.
            seconds: How long it took.
            size: How large it was (bytes); 0 where it failed. Then it counts only if it took longer than expected:
                rubbish is refused in no time, and says nothing about the next file.
            expected: How large it was expected to be, for one that failed (bytes).
        """
        rate = self._rates.setdefault(kind, Rate())
        if size or expected is None:
            rate.note(seconds, size)
        elif seconds > rate.seconds(expected):
            rate.note(seconds, expected)

    def under_way(self, kind: str, size: int) -> contextlib.AbstractContextManager[None]:
        """Counts a piece as waiting or under way."""
        return self._pieces.piece(self._rates[kind].seconds(size) if kind in self._rates else 0.0)

    def expected_wait_s(self) -> float:
        """Time until all pieces will have been done (seconds)."""
        return self._pieces.wait_s(self.places)

    @property
    def each_s(self) -> float:
        """Time that one piece more of the usual kind adds (seconds)."""
        count = len(self._pieces)
        return self._pieces.cost / count / self.places if count else 0.0
