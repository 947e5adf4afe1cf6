"""Who is let in to a model that has too much to do, and when the others are told to come back.

A caller that is refused gets an appointment: the first moment at which there will be room for it, after all who were
told before. Until then its place is kept from newcomers; when the moment comes, whoever asks next has it. So those who
wait as told find room, and nothing about a caller has to be remembered but that moment.
"""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Part of the longest wait up to which callers are told a time and newcomers are let in beside them. The rest absorbs
# what cannot be planned: whole seconds, estimates, and callers that come a little late.
PLANNED = 0.7
LATE_S = 2.0  # how long a place is kept for a caller that does not come
MAX_APPOINTMENTS = 512  # beyond that, callers are told the time after the last one


@dataclass(slots=True)
class Admission:
    """The door of one queue.

    Attributes:
        max_queue_wait_s: Longest wait of a caller that is let in (seconds).
        clock: Seconds; for tests.
    """

    max_queue_wait_s: float
    clock: Callable[[], float] = time.monotonic
    _appointments: list[float] = field(default_factory=list)  # moments, in order

    def ask(self, wait_s: float, each_s: float) -> int | None:
        """Lets one caller in, or tells it when to come back.

        Args:
            wait_s: Time until what is here will have been done (seconds).
            each_s: Time that one more takes (seconds).

        Returns:
            None for a caller that is let in; otherwise whole seconds, at least 1, after which there is room.
        """
        now = self.clock()
        del self._appointments[: bisect.bisect_left(self._appointments, now - LATE_S)]
        if wait_s <= self.max_queue_wait_s:
            if self._appointments and self._appointments[0] <= now:
                del self._appointments[0]
                return None
            if wait_s <= 0 or self._leaves_room(now, wait_s, each_s):  # what is idle is kept for nobody
                return None
        return self.tell(wait_s, each_s)

    def tell(self, wait_s: float, each_s: float) -> int:
        """Makes an appointment for a caller that is refused.

        Args:
            wait_s: As of ``ask``.
            each_s: As of ``ask``.

        Returns:
            Whole seconds until then.
        """
        now = moment = self.clock()
        for appointment in self._appointments:
            wait_s = max(0.0, wait_s - max(0.0, appointment - moment)) + each_s
            moment = max(moment, appointment)
        free = moment + max(0.0, wait_s - PLANNED * self.max_queue_wait_s)
        seconds = max(1, math.ceil(free - now))
        if len(self._appointments) < MAX_APPOINTMENTS:
            bisect.insort(self._appointments, now + seconds)
        return seconds

    def _leaves_room(self, now: float, wait_s: float, each_s: float) -> bool:
        """Whether all who have an appointment would still find room behind one more that is let in now."""
        work_s, moment = wait_s + each_s, now
        for appointment in self._appointments:
            work_s -= appointment - moment
            if work_s <= 0:  # it would have been done before
                return True
            if work_s > PLANNED * self.max_queue_wait_s:
                return False
            work_s += each_s
            moment = appointment
        return True
