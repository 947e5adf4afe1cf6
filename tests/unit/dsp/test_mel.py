"""The mel spectrogram against librosa."""

from __future__ import annotations

import numpy as np
import pytest

from dsp import mel
from tests.support.librosa_values import MELS, chirp, values

LIBROSA = values()
NUMBERS = range(len(MELS))


@pytest.mark.parametrize("number", NUMBERS)
def test_equals_librosa(number: int) -> None:
    config = MELS[number]
    audio = chirp(config.sample_rate)
    theirs = LIBROSA[f"mel/{number}"]
    ours = mel.mel_power(audio, config)
    assert ours.dtype == np.float32
    assert ours.shape == (config.frames(len(audio)), config.bands)
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-6 * float(theirs.max()))
    expected = 10 * np.log10(np.maximum(theirs, 1e-10))
    np.testing.assert_allclose(mel.log_mel(audio, config), expected, atol=0.02)


@pytest.mark.parametrize("number", NUMBERS)
def test_filter_bank_equals_librosa(number: int) -> None:
    config = MELS[number]
    bank = mel.filter_bank(config.sample_rate, config.fft, config.bands, config.low_hz, config.high_hz)
    theirs = LIBROSA[f"bank/{number}"]
    np.testing.assert_allclose(bank.T, theirs, atol=1e-7)


def test_scales_are_inverse() -> None:
    hertz = np.array([0.0, 30.0, 999.0, 1000.0, 1001.0, 7999.0])
    np.testing.assert_allclose(mel.mel_to_hertz(mel.hertz_to_mel(hertz)), hertz, atol=1e-9)


def test_too_short_without_centring_has_no_frames() -> None:
    config = MELS[1]
    assert config.frames(100) == 0
    assert mel.log_mel(np.zeros(100, np.float32), config).shape == (0, 128)


def test_silence_is_finite() -> None:
    assert np.isfinite(mel.log_mel(np.zeros(4000, np.float32), MELS[0])).all()
