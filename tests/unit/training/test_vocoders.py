"""A copy of speech sounds like it, and none of its samples are the speaker's."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate

from training.data.datasets import Clip, load_audio
from training.fitting import sound, vocoders

Audio = NDArray[np.float32]
DATA = Path(__file__).parents[2] / "data"
VOICES = DATA / "voices"
WAYS = [vocoders.griffin_lim, vocoders.linear_prediction]


def speech() -> Audio:
    return load_audio(VOICES / "male_1.flac", vocoders.RATE)


def bands(audio: Audio) -> NDArray[np.float64]:
    """Log-mel spectrogram, of all frames within 40 dB of the loudest."""
    powers = librosa.feature.melspectrogram(y=audio, sr=vocoders.RATE, n_mels=40, hop_length=160)
    return np.asarray(librosa.power_to_db(powers, ref=np.max, top_db=40.0))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
def test_a_copy_has_the_spectrum_over_time_and_not_the_waveform(way: vocoders.Way, seed: int) -> None:
    original = speech()
    copy = way(original, np.random.default_rng(seed))
    assert copy.shape == original.shape
    assert copy.dtype == np.float32
    assert np.corrcoef(bands(original).ravel(), bands(copy).ravel())[0, 1] > 0.85
    assert abs(np.corrcoef(original, copy)[0, 1]) < 0.5
    assert np.std(copy) == pytest.approx(np.std(original), rel=0.3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["male_1", "female_1"])
def test_a_copy_keeps_the_pitch(way: vocoders.Way, name: str) -> None:
    """Over the loud half of the frames, most of which are voiced."""
    original = load_audio(VOICES / f"{name}.flac", vocoders.RATE)
    loudness = librosa.feature.rms(y=original, frame_length=2_048)[0]
    before, after = (
        librosa.yin(audio, fmin=60, fmax=400, sr=vocoders.RATE)[loudness > np.median(loudness)]
        for audio in (original, way(original, np.random.default_rng(0)))
    )
    assert np.median(np.abs(after / before - 1.0)) < 0.05


@pytest.mark.parametrize("hz", [75.0, 380.0])
def test_the_lowest_and_the_highest_voices_are_voiced(hz: float) -> None:
    """A copy that is driven by noise has no harmonics."""
    time = np.arange(16_000) / vocoders.RATE
    tone = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, int(4_000 / hz)))
    copy = vocoders.linear_prediction((0.1 * np.asarray(tone)).astype(np.float32), np.random.default_rng(0))
    lags = np.correlate(copy[4_000:8_000], copy[4_000:8_000], "full")[3_999:]
    period = round(vocoders.RATE / hz)
    assert lags[period - 2 : period + 3].max() > 0.6 * lags[0]


@pytest.mark.parametrize("way", WAYS)
def test_silence_and_full_scale_noise_stay_what_they_are(way: vocoders.Way) -> None:
    rng = np.random.default_rng(0)
    assert np.abs(way(np.zeros(4_000, np.float32), rng)).max() < 1e-3
    original = rng.uniform(-1.0, 1.0, 4_001).astype(np.float32)
    noise = way(original, rng)
    assert noise.shape == (4_001,)
    assert np.std(noise) == pytest.approx(np.std(original), rel=0.3)


def test_half_of_the_people_are_copied_and_all_others_only_treated_again() -> None:
    """What is only treated follows the original's waveform; a copy does not. Both are the same in every run."""
    people = [Clip(VOICES / f"{name}.flac", "HUMAN", "group", {}) for name in ("female_1", "male_1", "male_2")]
    machines = [Clip(person.path, "AI_GENERATED", "group", {}) for person in people]
    assert {sound.is_copy(person) for person in people} == {True, False}
    assert not any(map(sound.is_copy, machines))
    for clip in people + machines:
        form = sound.form(clip, "copied", DATA)
        np.testing.assert_array_equal(form, sound.form(clip, "copied", DATA))
        assert (likeness(load_audio(clip.path, vocoders.RATE), form) < 0.5) == sound.is_copy(clip), clip


def likeness(original: Audio, form: Audio) -> float:
    """The highest correlation of two waveforms at any delay."""
    products = correlate(original.astype(np.float64), form.astype(np.float64))
    return float(np.abs(products).max() / (np.linalg.norm(original) * np.linalg.norm(form)))
