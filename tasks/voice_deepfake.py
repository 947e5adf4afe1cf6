"""Did a human or an AI speak this? (``docs/contract.md``, AI-generated voice)"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.settings import Voting
from dsp.framing import SAMPLE_RATE, fit_duration
from dsp.temporal import without_pauses
from media.audio import DecodedAudio
from tasks.base import (
    MIN_SPEECH_S,
    Answered,
    Ask,
    Conclusion,
    Prediction,
    Steps,
    Verdict,
    speech_seconds,
    speech_weights,
)
from tasks.explanation import explain
from tasks.names import AI_VOICE, MODELS_BY_QUESTION

MAX_S = 30.0  # of speech; more is not looked at
MIN_S = 1.0  # shorter audio is padded
ARTIFICIAL: Final = "AI_GENERATED"

MEMBERS = MODELS_BY_QUESTION[AI_VOICE]  # in the order of the configured weights
FIRST, *OTHERS = MEMBERS  # the first one finds speech

Sound = NDArray[np.float32]


def classify(audio: DecodedAudio, voting: Voting) -> Steps[Conclusion]:
    """Concludes from what the members say of the first ``MAX_S`` of speech.

    All members are asked at once about a recording of up to that length. Of a longer one, the first member reads piece
    after piece until there is enough speech. The others are asked about the speech that it found.

    Args:
        audio: A recording of any length, at ``SAMPLE_RATE``.
        voting: Weights, threshold and uncertain band of the ensemble.

    Raises:
        ServiceError: As ``Answered.check``; Unprocessable where there is no speech.
    """
    samples = without_pauses(audio.samples, SAMPLE_RATE)
    if samples.size <= round(MAX_S * SAMPLE_RATE):
        whole = fit(samples)
        first, *others = yield [Ask(FIRST, samples), *(Ask(name, whole) for name in OTHERS)]
        prediction = first.join(speech_weights(first))
    else:
        prediction, whole = yield from find_speech(samples)
        others = list((yield [Ask(name, whole) for name in OTHERS]))
    return conclude([prediction, *(found.join() for found in others)], voting)


def member(name: str, audio: DecodedAudio) -> Steps[Prediction]:
    """What one member alone says, for its evaluation.

    Args:
        name: Of the member.
        audio: A recording at ``SAMPLE_RATE``.

    Raises:
        ServiceError: As ``classify``.
    """
    samples = without_pauses(audio.samples, SAMPLE_RATE)
    if name == FIRST:
        prediction, _ = yield from find_speech(samples)
        return prediction
    (found,) = yield [Ask(name, fit(samples))]
    return found.join()


def find_speech(samples: Sound) -> Steps[tuple[Prediction, Sound]]:
    """The first member's prediction on the first ``MAX_S`` of speech, and the windows with speech, joined and fitted.

    Args:
        samples: float32 [n] at ``SAMPLE_RATE``.

    Raises:
        ServiceError: As ``classify``.
    """
    size = round(MAX_S * SAMPLE_RATE)
    looked: Answered | None = None
    for start in range(0, samples.size, size):
        (found,) = yield [Ask(FIRST, samples[start : start + size])]
        looked = _both(looked, found)
        if sum(speech_seconds(looked)) >= MAX_S:
            break
    assert looked is not None  # noqa: S101 - a recording has samples
    found_s = speech_seconds(looked)
    spoken = [window for window, seconds in zip(looked.windows, found_s, strict=True) if seconds >= MIN_SPEECH_S]
    return looked.join(speech_weights(looked)), fit(np.concatenate(spoken or list(looked.windows)))


def conclude(predictions: Sequence[Prediction], voting: Voting) -> Conclusion:
    """Weighs the members.

    Args:
        predictions: One for each member, in the order of ``MEMBERS``.
        voting: As of ``classify``.
    """
    members = dict(zip(MEMBERS, predictions, strict=True))
    scores = {name: prediction.probabilities[ARTIFICIAL] for name, prediction in members.items()}
    verdict = decide(list(scores.values()), voting)
    return Conclusion(
        verdict.classification,
        verdict.confidence,
        {ARTIFICIAL: verdict.score, "HUMAN": 1.0 - verdict.score},
        members,
        uncertain=verdict.uncertain,
        verdict=verdict,
        explanation=explain(members["deepfake_mlp"].extras, verdict, members=scores),
    )


def fit(samples: Sound) -> Sound:
    """Cuts speech to ``MAX_S``, or pads it with silence to ``MIN_S``; float32 [n] at ``SAMPLE_RATE``."""
    return fit_duration(samples, MIN_S, MAX_S)


def _both(before: Answered | None, found: Answered) -> Answered:
    if before is None:
        return found
    return Answered(found.spec, [*before.windows, *found.windows], [*before.results, *found.results])


def decide(scores: Sequence[float], voting: Voting) -> Verdict:
    """Weighs the members' probabilities.

    Args:
        scores: Each member's probability of ``AI_GENERATED``, 0 to 1.
        voting: Weights of the members, of which only the proportions count, threshold and uncertain band.

    Returns:
        The verdict.

    Raises:
        ValueError: The numbers of scores and weights differ, or a number is out of its range.
    """
    _check(scores, voting.weights, voting.threshold)
    weighted = math.fsum(score * weight for score, weight in zip(scores, voting.weights, strict=True))
    score = min(max(weighted / math.fsum(voting.weights), 0.0), 1.0)  # rounding only
    low, high = voting.uncertain
    uncertain, threshold = low < score < high, voting.threshold
    if score > threshold:
        return Verdict(score, ARTIFICIAL, 0.5 + 0.5 * (score - threshold) / (1.0 - threshold), uncertain)
    return Verdict(score, "HUMAN", 0.5 + 0.5 * (threshold - score) / threshold, uncertain)


def _check(scores: Sequence[float], weights: Sequence[float], threshold: float) -> None:
    """Raises ValueError for anything that cannot be weighed."""
    if len(scores) != len(weights):
        raise ValueError(f"{len(scores)} scores do not match {len(weights)} weights")
    if not all(0.0 <= score <= 1.0 for score in scores):
        raise ValueError("a member's score is not a probability")
    if not all(weight >= 0.0 and math.isfinite(weight) for weight in weights) or not any(weights):
        raise ValueError("weights must be finite, not negative, and not all zero")
    if not 0.0 < threshold < 1.0:
        raise ValueError("the threshold must be between 0 and 1")
