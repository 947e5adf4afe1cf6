"""The verdict of the AI-voice ensemble."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.settings import VOTING, Voting
from tasks.voice_deepfake import decide

PUBLISHED, COMPACT = VOTING["published"], VOTING["compact"]
probability = st.floats(0, 1)
scores_of_three = st.tuples(probability, probability, probability)
votings = st.sampled_from([PUBLISHED, COMPACT])


def voting(weights: tuple[float, ...] = PUBLISHED.weights, threshold: float = 0.55) -> Voting:
    return PUBLISHED._replace(weights=weights, threshold=threshold)  # type: ignore[arg-type]


def test_the_published_profile_votes_as_the_contract_says() -> None:
    assert PUBLISHED.weights == (0.5, 0.25, 0.25)
    assert PUBLISHED.threshold == 0.55


def test_the_compact_profile_makes_a_mean_and_is_uncertain_around_its_threshold() -> None:
    assert sum(COMPACT.weights) == pytest.approx(1.0)
    low, high = COMPACT.uncertain
    assert low < COMPACT.threshold < high


def test_a_score_is_the_weighted_mean() -> None:
    assert decide([0.9, 0.8, 0.4], PUBLISHED).score == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("score", "classification", "confidence"),
    [
        (0.0, "HUMAN", 1.0),
        (0.275, "HUMAN", 0.75),
        (0.55, "HUMAN", 0.5),
        (0.775, "AI_GENERATED", 0.75),
        (1.0, "AI_GENERATED", 1.0),
    ],
)
def test_confidence_is_one_half_at_the_threshold_and_one_at_both_ends(
    score: float, classification: str, confidence: float
) -> None:
    verdict = decide([score] * 3, PUBLISHED)
    assert verdict.classification == classification
    assert verdict.confidence == pytest.approx(confidence)


def test_weights_and_threshold_are_configuration() -> None:
    scores = (0.2, 0.9, 0.2)
    assert decide(scores, PUBLISHED).classification == "HUMAN"
    assert decide(scores, voting((0, 1, 0))).classification == "AI_GENERATED"
    assert decide(scores, voting(threshold=0.3)).classification == "AI_GENERATED"


def test_only_the_proportions_of_weights_count() -> None:
    scores = (0.1, 0.9, 0.6)
    doubled = voting(tuple(2 * weight for weight in PUBLISHED.weights))
    assert decide(scores, doubled).score == pytest.approx(decide(scores, PUBLISHED).score)


def test_scores_in_the_band_are_uncertain_and_no_others() -> None:
    low, high = COMPACT.uncertain
    certain = [decide([score] * 3, COMPACT).uncertain for score in (low / 2, (1 + high) / 2)]
    assert certain == [False, False]
    assert decide([(low + high) / 2] * 3, COMPACT).uncertain


@given(scores_of_three, st.floats(0.01, 0.99))
def test_every_verdict_is_in_range_and_consistent(scores: tuple[float, ...], threshold: float) -> None:
    verdict = decide(scores, voting(threshold=threshold))
    assert 0 <= verdict.score <= 1
    assert 0.5 <= verdict.confidence <= 1
    assert (verdict.classification == "AI_GENERATED") == (verdict.score > threshold)


@given(scores_of_three, st.integers(0, 2), probability, votings)
def test_a_member_that_says_ai_more_never_lowers_the_score(
    scores: tuple[float, ...], place: int, value: float, by: Voting
) -> None:
    raised = list(scores)
    raised[place] = max(value, scores[place])
    assert decide(raised, by).score >= decide(scores, by).score


@given(probability, probability, votings)
def test_confidence_rises_away_from_the_threshold(first: float, second: float, by: Voting) -> None:
    low, high = (decide([score] * 3, by) for score in sorted((first, second)))
    assume(low.classification == high.classification)
    if low.classification == "AI_GENERATED":
        assert high.confidence >= low.confidence
    else:
        assert high.confidence <= low.confidence


@pytest.mark.parametrize("scores", [[], [0.5] * 2, [0.5] * 4, [0.5, 0.5, math.nan], [0.5, 0.5, 1.5]])
def test_scores_that_cannot_be_weighed_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        decide(scores, PUBLISHED)


@pytest.mark.parametrize("weights", [(1, 1, -1), (1, 1, math.nan), (1, 1, math.inf), (0, 0, 0)])
def test_weights_that_cannot_be_used_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        decide([0.5] * 3, voting(weights))


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        decide([0.5] * 3, voting(threshold=1.5))
