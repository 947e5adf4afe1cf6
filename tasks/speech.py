"""Speech first: how much of it a recording holds, and answers that silence, music and noise have no vote in."""

from __future__ import annotations

from core.errors import Unprocessable
from tasks.base import Answered

SECONDS = "speech_s"  # what the models that find speech measure of each window
MIN_S = 0.5  # less speech than this is none
NO_SPEECH = "no speech was found in the recording"


def seconds(found: Answered) -> list[float]:
    """Seconds of speech in each window; of a model that does not find speech, the windows' own lengths.

    Raises:
        ServiceError: As ``Answered.check``.
    """
    found.check()
    return [result.extras.get(SECONDS, length) for result, length in zip(found.results, found.lengths, strict=True)]


def weights(found: Answered) -> list[float]:
    """How much each window counts in the answer for a voice: its seconds of speech.

    Raises:
        ServiceError: As ``Answered.check``; Unprocessable where there is too little speech in all windows.
    """
    spoken = seconds(found)
    if sum(spoken) < MIN_S and any(SECONDS in result.extras for result in found.results):
        raise Unprocessable(NO_SPEECH)
    return spoken
