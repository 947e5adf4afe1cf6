"""One verdict from the three members of the AI-voice ensemble."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Classification = Literal["AI_GENERATED", "HUMAN"]

DEFAULT_WEIGHTS = (0.50, 0.25, 0.25)  # wav2vec2, spectrogram CNN, feature MLP
DEFAULT_THRESHOLD = 0.55  # above .5: in doubt, a person is not called a machine


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ensemble says.

    Attributes:
        score: Weighted mean of the members' probabilities that the voice is AI-generated, 0 to 1.
        classification: ``AI_GENERATED`` where the score is above the threshold.
        confidence: Probability of the answer given: the score for ``AI_GENERATED``, its complement for ``HUMAN``.
            Within an answer it only rises as the score moves away from the threshold. With a threshold above one
            half, a ``HUMAN`` just below it has a confidence below one half: the answer given in doubt.
    """

    score: float
    classification: Classification
    confidence: float


def decide(
    scores: Sequence[float],
    weights: Sequence[float] = DEFAULT_WEIGHTS,
    threshold: float = DEFAULT_THRESHOLD,
) -> Verdict:
    """Weighs the members' probabilities.

    Args:
        scores: Each member's probability of ``AI_GENERATED``, 0 to 1.
        weights: One for each member, not negative; only their proportions count.
        threshold: Score above which the answer is ``AI_GENERATED``, 0 to 1.

    Returns:
        The verdict.

    Raises:
        ValueError: The numbers of scores and weights differ, or a number is out of its range.
    """
    _check(scores, weights, threshold)
    mean = math.fsum(score * weight for score, weight in zip(scores, weights, strict=True)) / math.fsum(weights)
    score = min(max(mean, 0.0), 1.0)  # rounding only
    if score > threshold:
        return Verdict(score, "AI_GENERATED", score)
    return Verdict(score, "HUMAN", 1.0 - score)


def _check(scores: Sequence[float], weights: Sequence[float], threshold: float) -> None:
    """Raises ValueError for anything that cannot be weighed."""
    if len(scores) != len(weights):
        raise ValueError(f"{len(scores)} scores do not match {len(weights)} weights")
    if not all(0.0 <= score <= 1.0 for score in scores):
        raise ValueError("a member's score is not a probability")
    if not all(weight >= 0.0 and math.isfinite(weight) for weight in weights) or not any(weights):
        raise ValueError("weights must be finite, not negative, and not all zero")
    if not 0.0 <= threshold <= 1.0:
        raise ValueError("the threshold must be between 0 and 1")
