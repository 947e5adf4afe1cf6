"""One verdict from the three members of the AI-voice ensemble."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.settings import Voting

Classification = Literal["AI_GENERATED", "HUMAN"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ensemble says.

    Attributes:
        score: Weighted mean of the members' probabilities that the voice is AI-generated, 0 to 1.
        classification: ``AI_GENERATED`` where the score is above the threshold.
        confidence: Confidence in the answer given, 0.5 to 1: the score, mapped such that the threshold becomes 0.5 and
            both ends become 1, linearly on each side.
        uncertain: Whether the score is so near the threshold that such answers are wrong more than one time in four.
    """

    score: float
    classification: Classification
    confidence: float
    uncertain: bool


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
        return Verdict(score, "AI_GENERATED", 0.5 + 0.5 * (score - threshold) / (1.0 - threshold), uncertain)
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
