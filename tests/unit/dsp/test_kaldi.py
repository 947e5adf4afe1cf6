"""The Kaldi front end against the feature extractor that the published checkpoint uses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ASTFeatureExtractor

from dsp import kaldi


def clip(seconds: float, seed: int, gain: float = 0.1) -> kaldi.Float:
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * kaldi.SAMPLE_RATE)) / kaldi.SAMPLE_RATE
    tone = np.sin(2 * np.pi * (200 + 900 * time) * time)
    return (gain * (tone + 0.3 * rng.standard_normal(len(time)))).astype(np.float32)


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")  # 128 filters: true of the original
@settings(max_examples=12, deadline=None)
@given(
    seconds=st.floats(0.03, 3.0),
    bins=st.sampled_from([64, 128]),
    gain=st.sampled_from([1e-4, 0.01, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_equals_the_published_extractor(seconds: float, bins: int, gain: float, seed: int) -> None:
    audio = clip(seconds, seed, gain)
    ours = kaldi.log_mel(audio, bins)
    extractor = ASTFeatureExtractor(num_mel_bins=bins, max_length=len(ours), do_normalize=False)
    theirs = extractor(audio, sampling_rate=kaldi.SAMPLE_RATE, return_tensors="np")["input_values"][0]
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_digital_silence_is_the_floor() -> None:
    features = kaldi.log_mel(np.zeros(8000, np.float32), 64)
    np.testing.assert_allclose(features, np.log(kaldi.FLOOR), rtol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_less_than_a_frame_has_no_frames(samples: int) -> None:
    assert kaldi.log_mel(np.zeros(samples, np.float32), 64).shape == (0, 64)


@pytest.mark.parametrize("count", [1, 2, 512])
def test_frames_and_samples_agree(count: int) -> None:
    samples = kaldi.samples_for(count)
    whole = clip(samples / kaldi.SAMPLE_RATE + 1e-6, 1)[:samples]
    assert kaldi.log_mel(whole, 64).shape == (count, 64)
    assert kaldi.log_mel(whole[:-1], 64).shape == (count - 1, 64)
