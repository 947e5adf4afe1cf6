"""Admission control: which requests a busy model takes, and the ``Retry-After`` of those that it refuses.

A refused request reserves the first moment at which there will be room for it, after all earlier reservations. Until
then new requests cannot take that room. At that moment the next request that asks takes it. So clients that wait as
they were told are admitted, and nothing of a client has to be remembered but the moment.
"""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Part of the longest wait that reservations and new requests may fill. The rest absorbs what cannot be planned:
# rounding to whole seconds, errors of the estimate, and clients that are a little late.
PLANNED = 0.7
LATE_S = 2.0  # how long a reservation is kept for a client that does not come
MAX_RESERVATIONS = 512  # beyond that, the answer is the time after the last one


@dataclass(slots=True)
class Admission:
    """Admission control of one queue.

    Attributes:
        max_queue_wait_s: Longest wait of an admitted request (seconds).
        clock: Seconds; for tests.
    """

    max_queue_wait_s: float
    clock: Callable[[], float] = time.monotonic
    _reservations: list[float] = field(default_factory=list)  # moments, in order

    def ask(self, wait_s: float, each_s: float) -> int | None:
        """Admits one request, or says when to try again.

        Args:
            wait_s: Time until all present work will have been done (seconds).
            each_s: Time that one more takes (seconds).

        Returns:
            None for an admitted request; otherwise whole seconds, at least 1, after which there is room.
        """
        now = self.clock()
        del self._reservations[: bisect.bisect_left(self._reservations, now - LATE_S)]
        if wait_s <= self.max_queue_wait_s:
            if self._reservations and self._reservations[0] <= now:
                del self._reservations[0]
                return None
            if wait_s <= 0 or self._leaves_room(now, wait_s, each_s):  # an idle model takes every request
                return None
        return self.tell(wait_s, each_s)

    def tell(self, wait_s: float, each_s: float) -> int:
        """Makes a reservation for a request that is refused.

        Args:
            wait_s: As of ``ask``.
            each_s: As of ``ask``.

        Returns:
            Whole seconds until then.
        """
        now = moment = self.clock()
        for reservation in self._reservations:
            wait_s = max(0.0, wait_s - max(0.0, reservation - moment)) + each_s
            moment = max(moment, reservation)
        free = moment + max(0.0, wait_s - PLANNED * self.max_queue_wait_s)
        seconds = max(1, math.ceil(free - now))
        if len(self._reservations) < MAX_RESERVATIONS:
            bisect.insort(self._reservations, now + seconds)
        return seconds

    def _leaves_room(self, now: float, wait_s: float, each_s: float) -> bool:
        """Whether all reservations could still be kept after one more request is admitted now."""
        work_s, moment = wait_s + each_s, now
        for reservation in self._reservations:
            work_s -= reservation - moment
            if work_s <= 0:  # it would have been done before
                return True
            if work_s > PLANNED * self.max_queue_wait_s:
                return False
            work_s += each_s
            moment = reservation
        return True
