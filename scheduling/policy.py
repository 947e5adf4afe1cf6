"""The batching policy: which items are computed together, and which requests are admitted.

Batches, in the calls of the API's queue and in a runner's engine: the cost of a batch includes its padding, which is
its longest item times its number of items, and it is within a budget (the policy of text-embeddings-inference,
``core/src/queue.rs``). The queue sends the oldest item, and of those next in line the nearest to it in cost. The runner
sorts items by length before it cuts them into batches, so that neighbours pad each other little. An item that alone is
above the budget is computed alone, and so is one that would make too much of the batch padding, which costs as much to
compute as sound.

Admission: a refused request reserves the first moment at which there will be room for it, after all earlier
reservations. Until then new requests cannot take that room. At that moment the next request that asks takes it. So
clients that wait for the ``Retry-After`` of their answer are admitted, and nothing of a client has to be remembered but
the moment.

Long recordings are submitted part by part, so that shorter ones overtake them. What waits in the queue is a small part
of what they cost. So a long one is admitted by all that other long ones have still to submit. This does not count
against short ones.
"""

from __future__ import annotations

import asyncio
import bisect
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

# Waiting items, from the oldest on, among which batch-mates of the oldest are chosen. Chosen among all, an item of
# unusual length would be overtaken by all others until it is the oldest.
IN_LINE = 8


def plan(costs: Sequence[float], max_batch_cost: float, max_batch_items: int, padding: float) -> list[list[int]]:
    """Cuts items into batches.

    Args:
        costs: Cost of each item (seconds of audio, or 1), at least 0.
        max_batch_cost: Largest cost of a batch of several items.
        max_batch_items: Largest number of items of a batch, at least 1.
        padding: Largest part of a batch that may be padding.

    Returns:
        Batches of indices into ``costs``; every index is in exactly one.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    total = 0.0
    for index in sorted(range(len(costs)), key=costs.__getitem__):
        padded = costs[index] * (len(current) + 1)
        total += costs[index]
        if current and (
            len(current) == max_batch_items or padded > max_batch_cost or padded - total > padding * padded
        ):
            batches.append(current)
            current, total = [], costs[index]
        current.append(index)
    if current:
        batches.append(current)
    return batches


def choose(costs: Sequence[float], max_batch_cost: float, max_batch_items: int) -> list[int]:
    """Chooses the next batch.

    Args:
        costs: Of the waiting items, oldest first.
        max_batch_cost: Largest longest-cost-times-items of a batch of several.
        max_batch_items: Largest number of items.

    Returns:
        Indices into ``costs``, the oldest first; empty when nothing is waiting.
    """
    if not costs:
        return []
    batch, longest = [0], costs[0]
    in_line = max(IN_LINE, max_batch_items // 2)  # a batch that may be larger is chosen among more
    for index in sorted(range(1, min(in_line, len(costs))), key=lambda i: abs(costs[i] - costs[0])):
        longest_with = max(longest, costs[index])
        if len(batch) == max_batch_items or longest_with * (len(batch) + 1) > max_batch_cost:
            break
        batch.append(index)
        longest = longest_with
    return batch


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
    clock: Callable[[], float] = lambda: time.monotonic()  # looked up at each call, as tests replace it
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
        return self.reserve(wait_s, each_s)

    def reserve(self, wait_s: float, each_s: float) -> int:
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


LENGTH_TOLERANCE_S = 1.0  # by which a recording may be longer than its header says
LOOP_ANSWER_S = 30.0  # for the event loop to say whether there is room; it stands still for no more than milliseconds


@dataclass(slots=True, eq=False)
class LongRecording:
    """One recording, from the moment at which its length is known or guessed; costs are seconds of it.

    Attributes:
        model: Whose queue it is.
        least: Length up to which a recording is not a long one.
        admit: Called with the recording and the length that is added to it; raises where there is no room.
        total: Length that was admitted.
        left: What of it has not been submitted yet.
    """

    model: str
    least: float
    admit: Callable[[LongRecording, float], None]
    total: float = 0.0
    left: float = 0.0

    def announce(self, seconds: float) -> None:
        """Asks for room for the whole recording; one whose header states no length asks again as it grows.

        Args:
            seconds: Its length, as its header says or as far as it has been decoded.

        Raises:
            TooManyRequests: Others have so much to submit that it would not be answered in time.
        """
        if not self._is_more(seconds):
            return
        more = max(seconds, self.total + self.least if self.total else 0.0) - self.total
        self.admit(self, more)
        self.total += more
        self.left += more

    def announcer(self) -> Callable[[float], None]:
        """Gives a function that does the same from another thread, and waits there for the event loop."""
        loop = asyncio.get_running_loop()

        async def announce(seconds: float) -> None:
            self.announce(seconds)

        def announce_and_wait(seconds: float) -> None:
            if self._is_more(seconds):
                asyncio.run_coroutine_threadsafe(announce(seconds), loop).result(LOOP_ANSWER_S)

        return announce_and_wait

    def submitted(self, seconds: float) -> None:
        """Counts a part that is in the queue from now on."""
        self.left = max(0.0, self.left - seconds)

    def _is_more(self, seconds: float) -> bool:
        """Whether a length is beyond what was admitted."""
        return seconds > max(self.least, self.total + LENGTH_TOLERANCE_S if self.total else 0.0)
