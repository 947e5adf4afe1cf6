"""Speech first: how much of it a recording holds, and answers that silence, music and noise have no vote in."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import Unprocessable
from models.messages import InferenceResult

SECONDS = "speech_s"  # what the models that find speech measure of each window
LEAST_S = 0.5  # less speech than this is none
NO_SPEECH = "no speech was found in the recording"


def seconds(outcomes: Sequence[InferenceResult], lengths: Sequence[float]) -> list[float]:
    """Seconds of speech in each window; of a model that does not find speech, the windows' own lengths.

    Args:
        outcomes: One for each window.
        lengths: Of the windows (seconds).
    """
    return [outcome.extras.get(SECONDS, length) for outcome, length in zip(outcomes, lengths, strict=True)]


def weights(outcomes: Sequence[InferenceResult], lengths: Sequence[float]) -> list[float]:
    """How much each window counts in the answer for a voice: its seconds of speech.

    Args:
        outcomes: One for each window.
        lengths: Of the windows (seconds).

    Raises:
        Unprocessable: There is too little speech in all of them.
    """
    found = seconds(outcomes, lengths)
    if sum(found) < LEAST_S and any(SECONDS in outcome.extras for outcome in outcomes):
        raise Unprocessable(NO_SPEECH)
    return found
