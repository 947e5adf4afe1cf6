"""Silence before, after or between beats has no say in what a heart sound shows."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from engine.predictor import Predictor
from media.audio import AudioLimits, decode
from models.heart_sound import SPEC
from tasks.base import Conclusion, follow
from tasks.heart_sound import NO_BEAT, classify
from tests.support.audio_bytes import wav
from tests.support.served import DATA
from training.data.datasets import load_audio
from training.fitting.augment import Audio, coloured_noise, power
from training.robustness import OF_HEARTS

RATE = 16_000


@functools.cache
def predictor() -> Predictor:
    return Predictor.bundled(SPEC.name)


def answer(samples: Audio) -> Conclusion:
    """The way of a request, from a WAV file on."""
    audio = decode(wav(samples, RATE), limits=AudioLimits(), target_rate=2_000)
    return follow(classify(audio), {SPEC.name: SPEC}, lambda _, windows: predictor().answer(windows))


def room(seconds: float, sound: Audio, tone_db: float) -> Audio:
    """Hiss so much weaker than a sound; silence where that is infinite."""
    if not seconds:
        return np.zeros(0, np.float32)
    level = np.sqrt(power(sound)) * 10 ** (-tone_db / 20)
    return np.asarray(level * coloured_noise(round(seconds * RATE), 1.0, np.random.default_rng(0)), np.float32)


@pytest.mark.parametrize("stem", ["normal_1", "murmur_1"])
@pytest.mark.parametrize("tone_db", [np.inf, 40.0])
@pytest.mark.parametrize(
    ("before", "inside", "after"),
    [(0, 2, 0), (0, 5, 0), (5, 0, 0), (0, 0, 5), (15, 0, 0), (0, 0, 15), (30, 0, 0), (0, 0, 30), (15, 2, 30)],
)
def test_silence_does_not_turn_an_answer(stem: str, tone_db: float, before: int, inside: int, after: int) -> None:
    sound = load_audio(DATA / "hearts" / f"{stem}.flac", RATE)
    half = sound.size // 2
    parts = (room(before, sound, tone_db), sound[:half], room(inside, sound, tone_db), sound[half:])
    plain, changed = answer(sound), answer(np.concatenate((*parts, room(after, sound, tone_db))))
    assert plain.prediction == changed.prediction == stem.split("_")[0].capitalize()
    assert changed.confidence == pytest.approx(plain.confidence, abs=0.15)
    assert changed.problems == plain.problems


@pytest.mark.parametrize("stem", ["normal_1", "murmur_1"])
@pytest.mark.parametrize("change", OF_HEARTS)
def test_drop_outs_and_clicks_do_not_turn_an_answer(stem: str, change: str) -> None:
    sound = load_audio(DATA / "hearts" / f"{stem}.flac", RATE)
    changed = answer(OF_HEARTS[change](sound, np.random.default_rng(0)))
    assert changed.prediction == stem.split("_")[0].capitalize()
    assert changed.confidence == pytest.approx(answer(sound).confidence, abs=0.15)


@pytest.mark.parametrize("seconds", [3, 45])
def test_silence_alone_is_quiet_and_no_heart(seconds: int) -> None:
    assert set(answer(np.zeros(seconds * RATE, np.float32)).problems) == {"too_quiet", NO_BEAT}
