"""Outline and mel picture of a recording."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.mel import hertz_to_mel
from dsp.overview import LOW_HZ, mel_picture, outline
from tests.support.audio_bytes import tone

COLUMNS = 600


def test_outline_has_the_lowest_and_highest_sample_of_each_piece() -> None:
    samples = np.array([0.0, 0.5, -0.25, 0.1, -1.0, 1.0], np.float32)
    assert outline(samples, 3).tolist() == [[0, 50], [-25, 10], [-100, 100]]
    assert outline(samples, COLUMNS).shape == (6, 2)


@pytest.mark.parametrize("rate", [2_000, 16_000])
@pytest.mark.parametrize("seconds", [0.01, 3.0, 700.0])
def test_picture_is_never_wider_than_asked(rate: int, seconds: float) -> None:
    picture = mel_picture(np.zeros(round(rate * seconds), np.float32) + 0.1, rate, COLUMNS)
    assert picture.dtype == np.uint8
    assert 1 <= picture.shape[1] <= COLUMNS
    assert seconds < 3 or picture.shape[1] > COLUMNS // 3


@pytest.mark.parametrize("seconds", [1.0, 60.0])
def test_tone_stands_in_its_band_all_the_time(seconds: float) -> None:
    samples = tone(16_000, seconds)[:, 0]
    frequency = np.argmax(np.abs(np.fft.rfft(samples[:16_000])))
    picture = mel_picture(samples, 16_000, COLUMNS)
    low, high = hertz_to_mel(LOW_HZ), hertz_to_mel(8_000.0)
    expected = (hertz_to_mel(float(frequency)) - low) / (high - low) * picture.shape[0]
    assert np.abs(picture[:, 2:-2].argmax(axis=0) - expected).max() <= 2
    assert picture.max() == 255


def test_silence_and_faint_hiss_are_not_turned_up() -> None:
    hiss = np.random.default_rng(0).normal(0, 1e-4, 32_000).astype(np.float32)
    assert mel_picture(np.zeros(32_000, np.float32), 16_000, COLUMNS).max() == 0
    assert mel_picture(hiss, 16_000, COLUMNS).max() < 200
