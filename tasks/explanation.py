"""Why a voice was called human or AI-generated, in words made from this clip's own measurements.

Each of six acoustic features is placed in the distribution that human training speech has, as the feature network's
training measured it, and weighed by how much more often AI-generated than human training speech has such a value. What
points to the answer given comes first, strongest first; what points the other way is said too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models import registry
from tasks.base import Verdict

FILE_NAME = "human_speech.json"  # written by the training of the feature network


@dataclass(frozen=True, slots=True)
class Distribution:
    """One feature over human training speech.

    Attributes:
        mean: Mean.
        std: Standard deviation.
        percents: Percentages of the quantiles, ascending.
        quantiles: Values at them, ascending.
        evidence: Natural logarithm of how much more often AI-generated than human training speech lies below the
            first quantile, between each two, and above the last.
    """

    mean: float
    std: float
    percents: tuple[float, ...]
    quantiles: tuple[float, ...]
    evidence: tuple[float, ...]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Distribution:
        """Reads one entry of the file."""
        percents = tuple(float(p) for p in data["quantiles"])
        quantiles = tuple(float(q) for q in data["quantiles"].values())
        return cls(float(data["mean"]), float(data["std"]), percents, quantiles, tuple(map(float, data["evidence"])))

    def percentile(self, value: float) -> float:
        """Per cent of human speech below a value: 0 or 100 outside the outer quantiles, else between its neighbours."""
        if value < self.quantiles[0]:
            return 0.0
        if value > self.quantiles[-1]:
            return 100.0
        upper = min(self._place(value), len(self.quantiles) - 1)
        low, high = self.quantiles[upper - 1 : upper + 1]
        share = (value - low) / (high - low) if high > low else 0.5
        return self.percents[upper - 1] + share * (self.percents[upper] - self.percents[upper - 1])

    def weigh(self, value: float) -> float:
        """Evidence for AI-generated speech at a value (nats); negative speaks for a human."""
        return self.evidence[self._place(value)]

    def _place(self, value: float) -> int:
        """How many quantiles are below or at a value."""
        return sum(quantile <= value for quantile in self.quantiles)


Reference = Mapping[str, Distribution]


def read_reference(path: Path) -> Reference:
    """Distributions of human speech, by feature name."""
    data = json.loads(path.read_text())
    return {name: Distribution.parse(entry) for name, entry in data["features"].items()}


@lru_cache(maxsize=1)
def bundled_reference() -> Reference:
    """The distributions that came with the bundled feature network."""
    return read_reference(registry.weights("deepfake_mlp") / FILE_NAME)


LOWEST_EVIDENCE = 0.2  # nats: a value at least 1.2 times as frequent in one class as in the other points to it
LARGEST_DISTANCE = 10.0  # standard deviations; anything further is "more than 10"


@dataclass(frozen=True, slots=True)
class Presentation:
    """How a feature is spoken of.

    Attributes:
        name: As in the 47.
        title: In a sentence.
        factor: From the measured value to the one shown.
        unit: After the number, with its space.
    """

    name: str
    title: str
    factor: float = 1.0
    unit: str = ""

    def show(self, value: float) -> str:
        """Title, value and unit."""
        return f"{self.title} {number(value * self.factor)}{self.unit}"


PRESENTED: tuple[Presentation, ...] = (
    Presentation("jitter", "jitter", 100.0, " %"),
    Presentation("shimmer", "shimmer", 100.0, " %"),
    Presentation("phase_coherence", "phase coherence"),
    Presentation("hnr", "HNR", unit=" dB"),
    Presentation("spectral_flatness", "spectral flatness"),
    Presentation("rms_variance", "RMS variance"),
)
UNCERTAIN = ", but uncertain: answers with such a score are often wrong"
NEED_VOICE = ("jitter", "shimmer")  # not measurable where no frame is voiced
MEMBER_TITLES = {
    "deepfake_encoder": "speech encoder",
    "deepfake_cnn": "spectrogram CNN",
    "deepfake_mlp": "feature network",
}


@dataclass(frozen=True, slots=True)
class _Finding:
    """One measured feature of this clip."""

    text: str
    place: str
    evidence: float


def explain(features: Mapping[str, float], verdict: Verdict, *, members: Mapping[str, float] | None = None) -> str:
    """Explains one answer.

    Args:
        features: Measured values by name, at least those of ``PRESENTED`` and ``pitch_mean``.
        verdict: The answer given.
        members: Each member's probability of the same, by model name.

    Returns:
        A few sentences with every one of the six values.
    """
    findings, missing = _findings(features)
    sign = 1.0 if verdict.classification == "AI_GENERATED" else -1.0
    ordered = sorted(findings, key=lambda finding: -sign * finding.evidence)
    driving = [f for f in ordered if sign * f.evidence >= LOWEST_EVIDENCE]
    opposing = [f for f in reversed(ordered) if sign * f.evidence <= -LOWEST_EVIDENCE]
    neutral = [f for f in ordered if abs(f.evidence) < LOWEST_EVIDENCE]
    answer, other = ("AI-generated", "human") if sign > 0 else ("human", "AI-generated")
    sentences = [
        f"AI score {verdict.score:.2f}: classified as {answer} speech{UNCERTAIN if verdict.uncertain else ''}.",
        _lead(driving, answer),
        _sentence(f"Pointing to {other} speech instead: ", opposing),
        _sentence("Telling little either way: ", neutral),
        f"Not measurable for lack of voiced speech: {', '.join(missing)}." if missing else "",
        _opinions(members),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def number(value: float) -> str:
    """Three significant digits, without an exponent unless it is very small."""
    if value != 0 and abs(value) < 1e-4:
        return f"{value:.2e}"
    if value == 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _findings(features: Mapping[str, float]) -> tuple[list[_Finding], list[str]]:
    """What was measured, and the titles of what could not be."""
    findings, missing = [], []
    reference = bundled_reference()
    for presentation in PRESENTED:
        value = features[presentation.name]
        if presentation.name in NEED_VOICE and features["pitch_mean"] <= 0:
            missing.append(presentation.title)
            continue
        distribution = reference[presentation.name]
        findings.append(_Finding(presentation.show(value), place(distribution, value), distribution.weigh(value)))
    return findings, missing


def place(distribution: Distribution, value: float) -> str:
    """Where a value lies in human speech, in words."""
    percent = distribution.percentile(value)
    low, high = distribution.percents[0], distribution.percents[-1]
    if percent < low or percent > high:
        side, bound = ("below", low) if percent < low else ("above", high)
        return f"{side} the {ordinal(bound)} percentile of human speech, {_distance(distribution, value)}"
    if percent <= 5 or percent >= 95:
        size, share = ("low", 100 - percent) if percent <= 5 else ("high", percent)
        beyond = "higher" if percent <= 5 else "lower"
        return f"unusually {size}: {share:.0f} % of human speech is {beyond}"
    if percent < 25 or percent > 75:
        return f"on the {'low' if percent < 25 else 'high'} side, {ordinal(percent)} percentile of human speech"
    return f"usual, {ordinal(percent)} percentile of human speech"


def ordinal(value: float) -> str:
    """1st, 2nd, 3rd, 4th ..."""
    whole = round(value)
    if whole % 100 in (11, 12, 13):
        return f"{whole}th"
    return f"{whole}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(whole % 10, 'th') }"


def _distance(distribution: Distribution, value: float) -> str:
    """Distance from the human mean in standard deviations."""
    deviations = (value - distribution.mean) / max(distribution.std, 1e-12)
    side = "above" if deviations > 0 else "below"
    size = abs(deviations)
    shown = f"more than {LARGEST_DISTANCE:.0f}" if size > LARGEST_DISTANCE else f"{size:.1f}"
    return f"{shown} standard deviations {side} its mean"


def _lead(driving: Sequence[_Finding], answer: str) -> str:
    """What points to the answer, or that nothing measured does."""
    if driving:
        return _sentence(f"Pointing to {answer} speech: ", driving)
    return (
        f"None of the features weighed here points to {answer} speech; "
        "the answer rests on what the models have learned."
    )


def _sentence(start: str, findings: Sequence[_Finding]) -> str:
    """Findings in a row, or nothing."""
    return f"{start}{'; '.join(f'{f.text} ({f.place}{_frequency(f.evidence)})' for f in findings)}." if findings else ""


def _frequency(evidence: float) -> str:
    """How much more common such a value is on one side, where that is worth saying."""
    if abs(evidence) < LOWEST_EVIDENCE:
        return ""
    side = "AI-generated" if evidence > 0 else "human"
    return f"; {math.exp(abs(evidence)):.1f} times as common in {side} training speech"


def _opinions(members: Mapping[str, float] | None) -> str:
    """The members' own scores."""
    if not members:
        return ""
    shown = (f"{MEMBER_TITLES.get(name, name)} {value:.2f}" for name, value in members.items())
    return f"Members' AI scores: {', '.join(shown)}."
