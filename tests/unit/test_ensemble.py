"""The verdict of the AI-voice ensemble."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from operations.ensemble import DEFAULT_THRESHOLD, DEFAULT_WEIGHTS, decide

probability = st.floats(0, 1)
scores_of_three = st.tuples(probability, probability, probability)


def test_the_defaults_are_those_of_the_contract() -> None:
    assert DEFAULT_WEIGHTS == (0.5, 0.25, 0.25)
    assert DEFAULT_THRESHOLD == 0.55


def test_a_score_is_the_weighted_mean() -> None:
    verdict = decide([0.9, 0.8, 0.4])
    assert verdict.score == pytest.approx(0.75)
    assert verdict.classification == "AI_GENERATED"
    assert verdict.confidence == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("score", "classification", "confidence"),
    [
        (0.0, "HUMAN", 1.0),
        (0.3, "HUMAN", 0.7),
        (0.55, "HUMAN", 0.45),
        (0.5625, "AI_GENERATED", 0.5625),
        (1.0, "AI_GENERATED", 1.0),
    ],
)
def test_only_a_score_above_the_threshold_is_ai(score: float, classification: str, confidence: float) -> None:
    verdict = decide([score] * 3)
    assert verdict.classification == classification
    assert verdict.confidence == pytest.approx(confidence)


def test_weights_and_threshold_are_configuration() -> None:
    scores = (0.2, 0.9, 0.2)
    assert decide(scores).classification == "HUMAN"
    assert decide(scores, (0, 1, 0)).classification == "AI_GENERATED"
    assert decide(scores, threshold=0.3).classification == "AI_GENERATED"


def test_only_the_proportions_of_weights_count() -> None:
    scores = (0.1, 0.9, 0.6)
    assert decide(scores, [2 * weight for weight in DEFAULT_WEIGHTS]).score == pytest.approx(decide(scores).score)


@given(scores_of_three, st.floats(0.01, 0.99))
def test_every_verdict_is_in_range_and_consistent(scores: tuple[float, ...], threshold: float) -> None:
    verdict = decide(scores, threshold=threshold)
    assert 0 <= verdict.score <= 1
    assert 0 <= verdict.confidence <= 1
    assert (verdict.classification == "AI_GENERATED") == (verdict.score > threshold)


@given(scores_of_three, st.integers(0, 2), probability)
def test_a_member_that_says_ai_more_never_lowers_the_score(scores: tuple[float, ...], place: int, value: float) -> None:
    raised = list(scores)
    raised[place] = max(value, scores[place])
    assert decide(raised).score >= decide(scores).score


@given(probability, probability)
def test_confidence_rises_away_from_the_threshold(first: float, second: float) -> None:
    low, high = (decide([score] * 3) for score in sorted((first, second)))
    assume(low.classification == high.classification)
    if low.classification == "AI_GENERATED":
        assert high.confidence >= low.confidence
    else:
        assert high.confidence <= low.confidence


@pytest.mark.parametrize("scores", [[], [0.5] * 2, [0.5] * 4, [0.5, 0.5, math.nan], [0.5, 0.5, 1.5]])
def test_scores_that_cannot_be_weighed_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        decide(scores)


@pytest.mark.parametrize("weights", [(1, 1, -1), (1, 1, math.nan), (1, 1, math.inf), (0, 0, 0)])
def test_weights_that_cannot_be_used_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        decide([0.5] * 3, weights)


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        decide([0.5] * 3, threshold=1.5)
