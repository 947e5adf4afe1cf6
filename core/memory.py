"""The bytes that requests hold in this process, counted in one budget: above it they are refused, and nothing breaks.

What is counted is what grows with what callers send: uploads as they arrive, downloads, decoded sound and pixels. Each
request has a lease, which ends with it; code that makes something large says so by ``hold``, in any thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar

from core import metrics
from core.errors import Unavailable

RETRY_AFTER_S = 5.0  # most transfers end within this time: a download at the lowest rate allowed ends sooner
SHOWN_BYTES = 1 << 20  # to which the metric is right: to write it takes longer than to count
FULL = "the server has too many bytes in hand, try again later"


class Budget:
    """Bytes that may be held at once; used from any thread.

    Attributes:
        total: How many.
        used: How many are held.
    """

    def __init__(self, total: int) -> None:
        """Takes the largest number of bytes."""
        self.total = total
        self.used = 0
        self.lock = threading.Lock()
        self._shown = 0

    def show(self) -> None:
        """Brings the metric up to date, where it is off by ``SHOWN_BYTES`` or more."""
        if abs(self.used - self._shown) >= SHOWN_BYTES:
            self._shown = self.used
            metrics.BYTES_HELD.set(self._shown)


class Lease:
    """What one request holds."""

    def __init__(self, budget: Budget) -> None:
        """Holds nothing yet."""
        self.budget = budget
        self.held = 0
        self._for_a_moment = 0  # of what is held: a thread gives it back itself, perhaps after the end
        self._has_ended = False

    def grow(self, size: int, *, for_a_moment: bool = False) -> None:
        """Holds more.

        Args:
            size: How much more (bytes).
            for_a_moment: Whether ``shrink`` will give it back, whatever happens.

        Raises:
            Unavailable: There is no room for it, or the request has ended while a thread still worked for it.
        """
        budget = self.budget
        with budget.lock:
            if fits := budget.used + size <= budget.total and not self._has_ended:
                budget.used += size
                self.held += size
                self._for_a_moment += size if for_a_moment else 0
        if not fits:
            metrics.BYTES_REFUSED.inc()
            raise Unavailable(FULL, retry_after=RETRY_AFTER_S)
        budget.show()

    def shrink(self, size: int, *, for_a_moment: bool = False) -> None:
        """Holds less; of what the end of the request has given back already, nothing is given back again.

        Args:
            size: How much less (bytes).
            for_a_moment: As of ``grow``.
        """
        with self.budget.lock:
            size = min(size, self.held)
            self._for_a_moment -= size if for_a_moment else 0
            self.budget.used -= size
            self.held -= size
        self.budget.show()

    def end(self) -> None:
        """Gives everything back but what a thread still has for a moment, and takes nothing more."""
        with self.budget.lock:  # or a thread that grows it at this moment would count what is never given back
            self._has_ended = True
            self.budget.used -= self.held - self._for_a_moment
            self.held = self._for_a_moment
        self.budget.show()


_LEASE: ContextVar[Lease | None] = ContextVar("lease", default=None)


@contextlib.contextmanager
def lease(budget: Budget) -> Iterator[Lease]:
    """What is held inside is given back at the end."""
    mine = Lease(budget)
    token = _LEASE.set(mine)
    try:
        yield mine
    finally:
        _LEASE.reset(token)
        mine.end()


@contextlib.contextmanager
def lease_apart() -> Iterator[None]:
    """A lease of its own for work that may outlive the request which began it, out of the same budget."""
    if (outer := _LEASE.get()) is None:
        yield
        return
    with lease(outer.budget):
        yield


def hold(size: int) -> None:
    """Counts bytes until the request ends; of what is no request's, as on a command line, nothing is counted.

    Args:
        size: How many.

    Raises:
        Unavailable: There is no room for them.
    """
    if (mine := _LEASE.get()) is not None:
        mine.grow(size)


@contextlib.contextmanager
def holding(size: int) -> Iterator[None]:
    """Counts bytes that are needed for a moment; at most as many as there are, so that the largest can be had alone.

    They count until the end of the block, though the request may have ended: no thread can be broken off.

    Raises:
        Unavailable: There is no room for them.
    """
    if (mine := _LEASE.get()) is None:
        yield
        return
    size = min(size, mine.budget.total - mine.held)
    mine.grow(size, for_a_moment=True)
    try:
        yield
    finally:
        mine.shrink(size, for_a_moment=True)
