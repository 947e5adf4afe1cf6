"""The spectrogram member: level, silence and batch-mates do not matter."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import networks, processing
from models.deepfake_cnn import network
from models.deepfake_cnn.processing import BANDS, FLOOR_DB, MEL, PROCESSOR, QUIET_DB, SAMPLE_RATE, decibels
from models.processing import InvalidItem
from training import export


def voice(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 30 * np.sin(2 * np.pi * 2 * time)) / SAMPLE_RATE
    wave = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.3 * np.sin(7 * phase)
    syllables = 1 + np.sin(2 * np.pi * 3 * time)
    return np.asarray(0.1 * wave * syllables + 0.002 * rng.standard_normal(len(time)), np.float32)


def test_spectrogram_equals_librosa() -> None:
    clip = voice(2.0)
    power = librosa.feature.melspectrogram(
        y=clip, sr=SAMPLE_RATE, n_fft=MEL.fft, win_length=400, hop_length=MEL.hop, n_mels=BANDS, pad_mode="constant"
    )
    frames = power.mean(axis=0, dtype=np.float64)
    loud = np.square(frames).sum() / frames.sum()
    theirs = librosa.power_to_db(power[:, frames >= loud * 10 ** (QUIET_DB / 10)], ref=loud, amin=1e-12, top_db=None)
    np.testing.assert_allclose(decibels(clip), np.maximum(theirs.T, FLOOR_DB), atol=0.02)


@settings(max_examples=10, deadline=None)
@given(samples=st.integers(1, 80_000), seed=st.integers(0, 9))
def test_features_have_their_shape(samples: int, seed: int) -> None:
    features = PROCESSOR.prepare(voice(samples / SAMPLE_RATE + 1e-5, seed)).features
    assert 0 < len(features) <= 1 + max(int(samples + 0.16), SAMPLE_RATE) // MEL.hop
    assert features.shape[1] == BANDS
    assert np.isfinite(features).all()
    assert np.abs(features.mean(axis=0)).max() < 1e-3


def test_silence_around_and_within_speech_does_not_matter() -> None:
    first, second = voice(2.0, 1), voice(2.0, 2)
    clean = PROCESSOR.prepare(np.concatenate([first, second])).features
    rng = np.random.default_rng(0)
    quiet = [np.asarray(1e-4 * rng.standard_normal(size), np.float32) for size in (240_000, 80_000, 240_000)]
    padded = PROCESSOR.prepare(np.concatenate([quiet[0], first, quiet[1], second, quiet[2]])).features
    assert abs(len(padded) - len(clean)) <= 8, "only frames at the edges may come or go"
    np.testing.assert_allclose(padded.mean(axis=0), clean.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(padded.std(axis=0), clean.std(axis=0), atol=0.1)


@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_level_does_not_matter(gain: float) -> None:
    clip = voice(2.0)
    np.testing.assert_allclose(PROCESSOR.prepare(gain * clip).features, PROCESSOR.prepare(clip).features, atol=1e-3)


def test_silence_is_finite() -> None:
    assert not PROCESSOR.prepare(np.zeros(20_000, np.float32)).features.any()


@pytest.mark.parametrize(
    "item", [np.zeros(0, np.float32), np.array([0.0, np.nan], np.float32), np.zeros((2, 100), np.float32)]
)
def test_what_cannot_be_judged_is_refused(item: NDArray[np.float32]) -> None:
    with pytest.raises(InvalidItem):
        PROCESSOR.prepare(item)


@settings(max_examples=20, deadline=None)
@given(frames=st.lists(st.integers(5, 60), min_size=1, max_size=4), seed=st.integers(0, 9))
def test_padding_cannot_be_noticed(frames: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = [rng.normal(size=(count, BANDS)).astype(np.float32) for count in frames]
    torch.manual_seed(seed)
    model = network.Ensemble(2).eval()
    together = export.logits(model, PROCESSOR.collate(clips))
    alone = np.concatenate([export.logits(model, PROCESSOR.collate([clip])) for clip in clips])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_pooling_sees_only_the_clip() -> None:
    sequence = torch.tensor([[[1.0, 3.0, 99.0, 99.0]]])
    mask = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    torch.testing.assert_close(networks.mean_and_max(sequence, mask), torch.tensor([[2.0, 3.0]]))
    torch.testing.assert_close(networks.spread(sequence, mask), torch.tensor([[1.0]]), atol=1e-5, rtol=0)
    torch.testing.assert_close(networks.shorten(mask), torch.tensor([[1.0, 0.0]]))


def test_batches_are_padded_to_a_multiple() -> None:
    padded, mask = processing.pad([np.ones((3, 2), np.float32), np.ones((5, 2), np.float32)], 4)
    assert padded.shape == (2, 8, 2)
    assert mask.sum(axis=1).tolist() == [3, 5]
    np.testing.assert_array_equal(padded.sum(axis=2), 2 * mask)
