"""Explanations say what was measured, where it lies in human speech, and nothing that the numbers do not say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsp.features import FEATURE_NAMES
from tasks.base import Verdict
from tasks.explanation import (
    LOWEST_EVIDENCE,
    PRESENTED,
    Distribution,
    bundled_reference,
    explain,
    number,
    ordinal,
    place,
)

TITLES = [presentation.title for presentation in PRESENTED]
REFERENCE = bundled_reference()
SIMPLE = Distribution(
    mean=50.0,
    std=20.0,
    percents=(1, 5, 25, 50, 75, 95, 99),
    quantiles=(1, 5, 25, 50, 75, 95, 99),
    evidence=(2.0, 1.0, 0.0, 0.0, -0.3, 0.0, 1.0, 3.0),
)
UNIFORM = {presentation.name: SIMPLE for presentation in PRESENTED}


def typical() -> dict[str, float]:
    """A clip at the median of human speech in every respect."""
    return {name: distribution.quantiles[3] for name, distribution in REFERENCE.items()}


def uniform(**changed: float) -> dict[str, float]:
    """A clip for ``UNIFORM``: every value at its median but those given."""
    return {"pitch_mean": 120.0, **dict.fromkeys(UNIFORM, 50.0), **changed}


def part(text: str, start: str) -> str:
    """The sentence that begins so, or nothing."""
    found = re.search(re.escape(start) + r"(.*?)(?=\. [A-Z]|\.$)", text)
    return found.group(1) if found else ""


def verdict(classification: str, score: float, *, uncertain: bool = False) -> Verdict:
    return Verdict(score, classification, 0.75, uncertain)  # type: ignore[arg-type]


@pytest.fixture
def among_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Human speech as ``UNIFORM`` has it."""
    monkeypatch.setattr("tasks.explanation.bundled_reference", lambda: UNIFORM)


classifications = st.sampled_from(["AI_GENERATED", "HUMAN"])
clips = st.fixed_dictionaries(
    {p.name: st.floats(REFERENCE[p.name].quantiles[0] / 3, REFERENCE[p.name].quantiles[-1] * 2) for p in PRESENTED}
)


def test_the_reference_covers_all_features() -> None:
    assert set(REFERENCE) == set(FEATURE_NAMES)
    for distribution in REFERENCE.values():
        assert list(distribution.quantiles) == sorted(distribution.quantiles)
        assert distribution.percents == (1, 5, 25, 50, 75, 95, 99)
        assert len(distribution.evidence) == 8
        assert distribution.std > 0


@given(clips, classifications, st.floats(0, 1))
def test_every_feature_is_named_with_its_value(clip: dict[str, float], answer: str, score: float) -> None:
    text = explain({"pitch_mean": 120.0, **clip}, verdict(answer, score))
    for presentation in PRESENTED:
        shown = number(clip[presentation.name] * presentation.factor)
        assert text.count(f"{presentation.title} {shown}{presentation.unit} (") == 1
    assert f"AI score {score:.2f}" in text


@given(clips, st.sampled_from(PRESENTED), st.floats(1.05, 3), classifications)
def test_another_value_gives_another_text(clip: dict[str, float], changed: object, factor: float, answer: str) -> None:
    name = changed.name  # type: ignore[attr-defined]
    clip = {"pitch_mean": 120.0, **clip}
    assert explain(clip, verdict(answer, 0.6)) != explain({**clip, name: clip[name] * factor}, verdict(answer, 0.6))


@given(clips, classifications)
def test_no_claim_contradicts_the_distribution(clip: dict[str, float], answer: str) -> None:
    text = explain({"pitch_mean": 120.0, **clip}, verdict(answer, 0.6))
    for presentation in PRESENTED:
        value, distribution = clip[presentation.name], REFERENCE[presentation.name]
        found = re.search(re.escape(presentation.title) + r" [^(]*\(([^)]*)\)", text)
        assert found is not None
        claim, median = found.group(1), distribution.quantiles[3]
        if "below the 1st" in claim or "unusually low" in claim or "low side" in claim:
            assert value < median
        if "above the 99th" in claim or "unusually high" in claim or "high side" in claim:
            assert value > median
        if "usual," in claim:
            assert distribution.quantiles[2] <= value <= distribution.quantiles[4]
        else:
            assert not distribution.quantiles[2] < value < distribution.quantiles[4]
        if "standard deviations above" in claim:
            assert value > distribution.mean
        if "standard deviations below" in claim:
            assert value < distribution.mean


@given(clips, classifications)
def test_what_drives_the_answer_points_its_way_strongest_first(clip: dict[str, float], answer: str) -> None:
    text = explain({"pitch_mean": 120.0, **clip}, verdict(answer, 0.6))
    sign = 1 if answer == "AI_GENERATED" else -1
    weights = {p.title: sign * REFERENCE[p.name].weigh(clip[p.name]) for p in PRESENTED}
    start = f"Pointing to {'AI-generated' if sign > 0 else 'human'} speech: "
    driving = sorted((t for t in TITLES if t in part(text, start)), key=part(text, start).index)
    assert set(driving) == {title for title, weight in weights.items() if weight >= LOWEST_EVIDENCE}
    ordered = [weights[title] for title in driving]
    assert ordered == sorted(ordered, reverse=True)
    assert bool(driving) != ("None of the features weighed here points to" in text)


@pytest.mark.usefixtures("among_uniform")
def test_direction_matters() -> None:
    clip = uniform(jitter=0.5, hnr=80.0)
    generated, human = (
        explain(clip, verdict("AI_GENERATED", 0.8)),
        explain(clip, verdict("HUMAN", 0.2)),
    )
    assert "jitter" in part(generated, "Pointing to AI-generated speech: ")
    assert "jitter" in part(human, "Pointing to AI-generated speech instead: ")
    assert "7.4 times as common in AI-generated training speech" in generated


@pytest.mark.usefixtures("among_uniform")
def test_nothing_unusual_is_said_so_and_the_members_are_named() -> None:
    text = explain(
        uniform(**dict.fromkeys(UNIFORM, 30.0)),
        verdict("AI_GENERATED", 0.7),
        members={"deepfake_encoder": 0.91, "deepfake_cnn": 0.4, "deepfake_mlp": 0.58},
    )
    assert "None of the features weighed here points to AI-generated speech" in text
    assert "the answer rests on what the models have learned" in text
    assert "Members' AI scores: speech encoder 0.91, spectrogram CNN 0.40, feature network 0.58." in text


def test_what_could_not_be_measured_is_not_judged() -> None:
    text = explain({**typical(), "pitch_mean": 0.0, "jitter": 0.0, "shimmer": 0.0}, verdict("HUMAN", 0.4))
    assert "Not measurable for lack of voiced speech: jitter, shimmer." in text
    assert "jitter 0" not in text
    assert "shimmer 0" not in text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.5, "below the 1st percentile of human speech, 2.5 standard deviations below its mean"),
        (3.0, "unusually low: 97 % of human speech is higher"),
        (12.0, "on the low side, 12th percentile of human speech"),
        (50.0, "usual, 50th percentile of human speech"),
        (82.0, "on the high side, 82nd percentile of human speech"),
        (97.0, "unusually high: 97 % of human speech is lower"),
        (110.0, "above the 99th percentile of human speech, 3.0 standard deviations above its mean"),
        (1e6, "above the 99th percentile of human speech, more than 10 standard deviations above its mean"),
    ],
)
def test_places_in_words(value: float, words: str) -> None:
    assert place(SIMPLE, value) == words


@given(st.floats(0, 120), st.floats(0, 120))
def test_percentiles_rise_with_the_value(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert 0 <= SIMPLE.percentile(low) <= SIMPLE.percentile(high) <= 100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.94, "1.94"),
        (12.345, "12.3"),
        (0.93412, "0.934"),
        (0.00312, "0.00312"),
        (2.1e-5, "2.10e-05"),
        (250, "250"),
    ],
)
def test_numbers_are_readable(value: float, text: str) -> None:
    assert number(value) == text


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 42, 93, 99)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "42nd", "93rd", "99th"]
    )
