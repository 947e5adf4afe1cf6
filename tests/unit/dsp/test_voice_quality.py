"""Pitch, jitter, shimmer and harmonics-to-noise ratio against Praat, on real voices and on signals of known answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import parselmouth
import pytest
import soundfile
from numpy.typing import NDArray
from parselmouth.praat import call

from dsp.features import extract, named
from dsp.framing import SAMPLE_RATE, Float
from dsp.pitch import PitchTrack, track
from dsp.pulses import find, voiced_stretches
from dsp.voice_quality import harmonicity, jitter, shimmer

VOICES = sorted((Path(__file__).parents[2] / "data" / "voices").glob("*.flac"))
PERIODS = (0.0001, 0.02, 1.3)  # Praat's standard: shortest and longest period (s), largest factor between neighbours


def noisy(samples: Float) -> Float:
    hiss = np.random.default_rng(0).normal(0, 0.01, samples.size)
    return (samples + hiss).astype(np.float32)


def telephone(samples: Float) -> Float:
    transform = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(samples.size, 1 / SAMPLE_RATE)
    transform[(hertz < 200) | (hertz > 3400)] = 0
    return np.asarray(np.fft.irfft(transform, samples.size), np.float32)


CHANGES: dict[str, Callable[[Float], Float]] = {
    "clean": lambda samples: samples,
    "noisy": noisy,
    "telephone": telephone,
    "reversed": lambda samples: samples[::-1].copy(),
}


@pytest.fixture(params=[(path, change) for path in VOICES for change in CHANGES], ids=lambda p: f"{p[0].stem}-{p[1]}")
def voice(request: pytest.FixtureRequest) -> Float:
    path, change = request.param
    return CHANGES[change](np.asarray(soundfile.read(path, dtype="float32")[0], np.float32))


def praat(samples: Float) -> parselmouth.Sound:
    return parselmouth.Sound(samples.astype(np.float64), SAMPLE_RATE)


def test_pitch_is_praats(voice: Float) -> None:
    theirs = praat(voice).to_pitch().selected_array["frequency"]
    ours = track(voice)
    assert ours.hertz.size == theirs.size
    assert np.mean((ours.hertz > 0) != (theirs > 0)) <= 0.02
    assert ours.voiced.mean() == pytest.approx(theirs[theirs > 0].mean(), rel=0.01)
    assert ours.voiced.std(ddof=1) == pytest.approx(theirs[theirs > 0].std(ddof=1), rel=0.05, abs=1)
    both = (ours.hertz > 0) & (theirs > 0)
    assert np.median(np.abs(ours.hertz[both] / theirs[both] - 1)) < 1e-4


def test_times_of_pitch_frames_are_praats(voice: Float) -> None:
    theirs, ours = praat(voice).to_pitch(), track(voice)
    assert ours.first == pytest.approx(theirs.x1, abs=1e-9)
    assert ours.step == pytest.approx(theirs.dx)


def test_jitter_and_shimmer_are_praats(voice: Float) -> None:
    sound = praat(voice)
    points = call(sound, "To PointProcess (periodic, cc)", 75, 600)
    pulses = find(voice, track(voice))
    assert pulses.size == pytest.approx(call(points, "Get number of points"), rel=0.02)
    assert jitter(pulses) == pytest.approx(call(points, "Get jitter (local)", 0, 0, *PERIODS), rel=0.03)
    theirs = call([sound, points], "Get shimmer (local)", 0, 0, *PERIODS, 1.6)
    assert shimmer(voice, pulses) == pytest.approx(theirs, rel=0.03)


def test_given_praats_pulses_jitter_and_shimmer_are_exact(voice: Float) -> None:
    sound = praat(voice)
    points = call(sound, "To PointProcess (periodic, cc)", 75, 600)
    count = call(points, "Get number of points")
    pulses = np.array([call(points, "Get time from index", i + 1) for i in range(count)])
    assert jitter(pulses) == pytest.approx(call(points, "Get jitter (local)", 0, 0, *PERIODS), rel=1e-6)
    theirs = call([sound, points], "Get shimmer (local)", 0, 0, *PERIODS, 1.6)
    assert shimmer(voice, pulses) == pytest.approx(theirs, rel=1e-3)


def test_harmonicity_is_praats(voice: Float) -> None:
    theirs = call(call(praat(voice), "To Harmonicity (cc)", 0.01, 75, 0.1, 1.0), "Get mean", 0, 0)
    assert harmonicity(voice).mean() == pytest.approx(theirs, abs=0.6)


def test_the_features_are_these_measures(voice: Float) -> None:
    values, pitch = named(extract(voice)), track(voice)
    pulses = find(voice, pitch)
    assert values["pitch_mean"] == pytest.approx(pitch.voiced.mean(), rel=1e-5)
    assert values["jitter"] == pytest.approx(jitter(pulses), rel=1e-5)
    assert values["shimmer"] == pytest.approx(shimmer(voice, pulses), rel=1e-5)
    assert values["hnr"] == pytest.approx(harmonicity(voice).mean(), rel=1e-5)


def pulse_train(periods: NDArray[np.float64], amplitudes: NDArray[np.float64]) -> Float:
    """Decaying resonances at given intervals (seconds) and amplitudes: a voice whose jitter and shimmer are known."""
    times = 0.05 + np.concatenate([[0], np.cumsum(periods)])
    axis = np.arange(round((times[-1] + 0.1) * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.zeros(axis.size)
    for time, amplitude in zip(times, amplitudes, strict=False):
        since = axis - time
        wave += np.where(since >= 0, amplitude * np.exp(-400 * since) * np.sin(2 * np.pi * 700 * since), 0)
    return np.asarray(0.5 * wave / np.abs(wave).max(), np.float32)


@pytest.mark.parametrize("hertz", [100.0, 125.0, 150.0])
def test_known_jitter_is_found(hertz: float) -> None:
    even, flat = np.full(150, 1 / hertz), np.ones(151)
    uneven = even * (1 + np.random.default_rng(3).uniform(-0.02, 0.02, 150))
    known = np.abs(np.diff(uneven)).mean() / uneven.mean()
    steady, shaky = pulse_train(even, flat), pulse_train(uneven, flat)
    assert jitter(find(steady, track(steady))) < 0.002
    assert jitter(find(shaky, track(shaky))) == pytest.approx(known, rel=0.15)


def test_known_shimmer_is_found() -> None:
    even, flat = np.full(150, 1 / 120), np.ones(151)
    uneven = 1 + np.random.default_rng(4).uniform(-0.1, 0.1, 151)
    known = np.abs(np.diff(uneven)).mean() / uneven.mean()
    steady, shaky = pulse_train(even, flat), pulse_train(even, uneven)
    assert shimmer(steady, find(steady, track(steady))) < 0.02
    assert shimmer(shaky, find(shaky, track(shaky))) == pytest.approx(known, rel=0.25)


@pytest.mark.parametrize("ratio_db", [10.0, 20.0, 30.0])
def test_known_noise_is_found(ratio_db: float) -> None:
    seconds = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * 150 * k * seconds) / k for k in range(1, 6))
    hiss = np.random.default_rng(1).normal(size=seconds.size)
    hiss *= np.sqrt(np.mean(np.square(wave))) / 10 ** (ratio_db / 20)
    measured = harmonicity((0.2 * (wave + hiss)).astype(np.float32)).mean()
    assert measured == pytest.approx(ratio_db, abs=1.0)


@pytest.mark.parametrize("hertz", [80.0, 131.7, 260.0, 437.3, 580.0])
def test_the_pitch_of_a_tone(hertz: float) -> None:
    seconds = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    pitch = track((0.3 * np.sin(2 * np.pi * hertz * seconds)).astype(np.float32))
    assert (pitch.hertz > 0).mean() > 0.9
    assert pitch.voiced.mean() == pytest.approx(hertz, rel=2e-3)


def test_voiced_stretches() -> None:
    pitch = PitchTrack(0.02, 0.01, np.array([0, 100, 110, 0, 0, 120.0]))
    assert voiced_stretches(pitch) == [(1, 2), (5, 5)]
    assert voiced_stretches(PitchTrack(0.02, 0.01, np.zeros(0))) == []


@pytest.mark.parametrize("samples", [np.zeros(16_000, "f4"), np.zeros(10, "f4"), np.zeros(0, "f4")])
def test_nothing_is_measured_in_nothing(samples: Float) -> None:
    pitch = track(samples)
    pulses = find(samples, pitch)
    assert pitch.voiced.size == pulses.size == harmonicity(samples).size == 0
    assert jitter(pulses) == shimmer(samples, pulses) == 0
