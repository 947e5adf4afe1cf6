"""Recordings of many windows: what they have still to submit counts against one another, and not against short ones.

They are submitted part by part, so that shorter ones overtake them. What waits in the queue is therefore a small part
of what they cost, and each is admitted by all that the others have still to submit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

TOLERANCE_S = 1.0  # by which a recording may be longer than its header says
ANSWER_S = 30.0  # for the event loop to say whether there is room; it stands still for no more than milliseconds


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
        """Gives what does the same from another thread, which waits for the event loop."""
        loop = asyncio.get_running_loop()

        async def announce(seconds: float) -> None:
            self.announce(seconds)

        def announce_and_wait(seconds: float) -> None:
            if self._is_more(seconds):
                asyncio.run_coroutine_threadsafe(announce(seconds), loop).result(ANSWER_S)

        return announce_and_wait

    def submitted(self, seconds: float) -> None:
        """Counts a part that is in the queue from now on."""
        self.left = max(0.0, self.left - seconds)

    def _is_more(self, seconds: float) -> bool:
        """Whether a length is beyond what was admitted."""
        return seconds > max(self.least, self.total + TOLERANCE_S if self.total else 0.0)
