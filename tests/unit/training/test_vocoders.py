"""A copy of speech sounds like it, and none of its samples are the speaker's."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.datasets import Clip, load_audio
from training.fitting import sound, vocoders

Audio = NDArray[np.float32]
DATA = Path(__file__).parents[2] / "data"
VOICE = DATA / "voices" / "male_1.flac"
WAYS = [vocoders.griffin_lim, vocoders.linear_prediction]


def speech() -> Audio:
    return load_audio(VOICE, vocoders.RATE)


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
def test_a_copy_keeps_the_pitch(way: vocoders.Way) -> None:
    """Over the loud half of the frames, most of which are voiced."""
    original = speech()
    loudness = librosa.feature.rms(y=original, frame_length=2_048)[0]
    before, after = (
        librosa.yin(audio, fmin=60, fmax=400, sr=vocoders.RATE)[loudness > np.median(loudness)]
        for audio in (original, way(original, np.random.default_rng(0)))
    )
    assert np.median(np.abs(after / before - 1.0)) < 0.05


@pytest.mark.parametrize("way", WAYS)
def test_silence_and_full_scale_noise_stay_what_they_are(way: vocoders.Way) -> None:
    rng = np.random.default_rng(0)
    assert np.abs(way(np.zeros(4_000, np.float32), rng)).max() < 1e-3
    noise = way(rng.uniform(-1.0, 1.0, 4_001).astype(np.float32), rng)
    assert noise.shape == (4_001,)
    assert np.isfinite(noise).all()


def test_a_person_is_copied_and_a_synthesiser_is_not() -> None:
    """The form is drawn from the clip's name: the same in every run."""
    person, machine = (Clip(VOICE, label, "group", {}) for label in ("HUMAN", "AI_GENERATED"))
    copy = sound.form(person, "copied", DATA)
    np.testing.assert_array_equal(copy, sound.form(person, "copied", DATA))
    np.testing.assert_array_equal(speech(), sound.form(machine, "copied", DATA))
    assert np.isfinite(copy).all()
    assert abs(copy.size - speech().size) < vocoders.RATE  # with margins
