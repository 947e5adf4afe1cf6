"""The mel spectrogram against librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from librosa.filters import mel as librosa_bank

from dsp import mel

CONFIGS = [
    mel.MelConfig(16_000, 512, 160, 128, 0.0, 8000.0),
    mel.MelConfig(16_000, 1024, 256, 128, 20.0, 8000.0, centre=False),
    mel.MelConfig(2_000, 128, 32, 40, 25.0, 800.0),
    mel.MelConfig(16_000, 1024, 256, 128, 0.0, 8000.0, window=512),
]


def clip(rate: int, seconds: float = 1.3) -> mel.Float:
    time = np.arange(int(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (50 + 0.1 * rate * time) * time)
    return (0.2 * tone + 0.02 * np.random.default_rng(0).standard_normal(len(time))).astype(np.float32)


@pytest.mark.parametrize("config", CONFIGS)
def test_equals_librosa(config: mel.MelConfig) -> None:
    audio = clip(config.sample_rate)
    theirs = librosa.feature.melspectrogram(
        y=audio,
        sr=config.sample_rate,
        n_fft=config.fft,
        hop_length=config.hop,
        n_mels=config.bands,
        fmin=config.low_hz,
        fmax=config.high_hz,
        center=config.centre,
        win_length=config.window or config.fft,
        pad_mode="constant",
    )
    ours = mel.mel_power(audio, config)
    assert ours.dtype == np.float32
    assert ours.shape == theirs.T.shape
    np.testing.assert_allclose(ours, theirs.T, rtol=2e-3, atol=1e-6 * float(theirs.max()))
    expected = 10 * np.log10(np.maximum(theirs.T, 1e-10))
    np.testing.assert_allclose(mel.log_mel(audio, config), expected, atol=0.02)


@pytest.mark.parametrize("config", CONFIGS)
def test_filter_bank_equals_librosa(config: mel.MelConfig) -> None:
    bank = mel.filter_bank(config.sample_rate, config.fft, config.bands, config.low_hz, config.high_hz)
    theirs = librosa_bank(
        sr=config.sample_rate, n_fft=config.fft, n_mels=config.bands, fmin=config.low_hz, fmax=config.high_hz
    )
    np.testing.assert_allclose(bank.T, theirs, atol=1e-7)


def test_scales_are_inverse() -> None:
    hertz = np.array([0.0, 30.0, 999.0, 1000.0, 1001.0, 7999.0])
    np.testing.assert_allclose(mel.mel_to_hertz(mel.hertz_to_mel(hertz)), hertz, atol=1e-9)


def test_too_short_without_centring_has_no_frames() -> None:
    assert mel.log_mel(np.zeros(100, np.float32), CONFIGS[1]).shape == (0, 128)


def test_silence_is_finite() -> None:
    assert np.isfinite(mel.log_mel(np.zeros(4000, np.float32), CONFIGS[0])).all()
