"""Augmentation changes a recording, never its shape contract, and never looks at a label."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.data import codecs
from training.fitting import augment

RATE = augment.SAMPLE_RATE
BANK = [np.sin(np.arange(4_000) / 7.0).astype(np.float32), np.zeros(100, np.float32)]
SAME_LENGTH: list[augment.Transform] = [
    augment.Noise(),
    augment.Noise(BANK, 0.0, 10.0),
    augment.Reverberation(),
    augment.BandLimit(),
    augment.BandLimit(3_000.0, 3_400.0, telephone=1.0),
    augment.Equaliser(),
    augment.Sometimes(0.5, augment.Noise()),
    augment.Chain([augment.Noise(BANK), augment.Reverberation()]),
]


def voice(samples: int, seed: int = 0, level: float = 0.1) -> NDArray[np.float32]:
    """A harmonic tone with vibrato and some noise, float32 [samples]."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    phase = 2 * np.pi * (140.0 * time + 2.0 * np.sin(5.0 * time))
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (level * (tone + 0.1 * rng.standard_normal(samples))).astype(np.float32)


def snr(clean: NDArray[np.float32], changed: NDArray[np.float32]) -> float:
    """Signal to noise, in dB."""
    return float(10 * np.log10(augment.power(clean) / augment.power(changed - clean)))


@pytest.mark.parametrize("transform", SAME_LENGTH, ids=repr)
@given(samples=st.integers(1, 9_000), seed=st.integers(0, 1_000), level=st.sampled_from([0.0, 1e-6, 0.1, 0.5]))
@settings(max_examples=15, deadline=None)
def test_length_type_and_finiteness_stay(transform: augment.Transform, samples: int, seed: int, level: float) -> None:
    audio = voice(samples, seed, level)
    before = audio.copy()
    changed = transform(audio, np.random.default_rng(seed))
    assert changed.shape == audio.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    np.testing.assert_array_equal(audio, before)  # never in place


@pytest.mark.parametrize("transform", [*SAME_LENGTH, augment.Speed()], ids=repr)
def test_the_same_seed_gives_the_same_change(transform: augment.Transform) -> None:
    audio = voice(8_000)
    first, again = (transform(audio, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_no_transform_is_told_a_label() -> None:
    classes = [c for _, c in inspect.getmembers(augment, inspect.isclass) if c.__module__ == augment.__name__]
    assert len(classes) >= 7
    for transform in classes:
        assert list(inspect.signature(transform.__call__).parameters) == ["self", "audio", "rng"]


@given(ratio=st.floats(-10.0, 40.0), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_noise_has_the_ratio_asked_for(ratio: float, seed: int) -> None:
    audio = voice(16_000)
    noisy = augment.Noise(BANK[:1], ratio, ratio)(audio, np.random.default_rng(seed))
    assert snr(audio, noisy) == pytest.approx(ratio, abs=0.1)


def test_noise_around_silence_stays_silent() -> None:
    assert not augment.Noise()(np.zeros(1_000, np.float32), np.random.default_rng(0)).any()


def test_speed_moves_pitch_by_no_more_than_asked() -> None:
    tone = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / RATE).astype(np.float32)
    for seed in range(5):
        changed = augment.Speed(0.03)(tone, np.random.default_rng(seed))
        peak = np.abs(np.fft.rfft(changed)).argmax() * RATE / changed.size
        assert 965 < peak < 1_035


def test_band_limit_removes_what_lies_above() -> None:
    white = augment.coloured_noise(32_000, 0.0, np.random.default_rng(0))
    limited = augment.BandLimit(3_000.0, 3_000.0, telephone=0.0)(white, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(limited)) ** 2
    frequency = np.fft.rfftfreq(limited.size, 1 / RATE)
    assert spectrum[frequency > 4_000].mean() < 1e-3 * spectrum[frequency < 2_500].mean()


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_coloured_noise_has_its_slope(slope: float) -> None:
    noise = augment.coloured_noise(320_000, slope, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    octave = [spectrum[low * 20 : low * 40].mean() for low in (200, 400, 800, 1_600)]  # bins of 0.05 Hz
    np.testing.assert_allclose(np.diff(np.log2(octave)), -slope, atol=0.15)
    assert augment.power(noise) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("codec", codecs.CODECS, ids=lambda codec: f"{codec[0]}-{codec[1] // 1000}k")
def test_codecs_keep_length_and_voice(codec: codecs.Codec) -> None:
    audio = voice(20_000)
    decoded = codecs.codec_round_trip(audio, codec)
    assert decoded.shape == audio.shape
    assert decoded.dtype == np.float32
    assert augment.power(decoded) == pytest.approx(augment.power(audio), rel=0.5)


def test_codecs_survive_very_short_clips() -> None:
    for codec in codecs.CODECS:
        assert codecs.codec_round_trip(voice(50), codec).shape == (50,)
