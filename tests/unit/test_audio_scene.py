"""The scene classifier: its front end, its rule for silence, and the bundled network."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import openvino as ov
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import ASTFeatureExtractor, AutoFeatureExtractor, AutoModelForAudioClassification

from dsp import kaldi
from models.audio_scene import SPEC, activity, bank, creatures, network, synthetic, train
from models.audio_scene.activity import VoiceActivity
from models.audio_scene.processing import PROCESSOR, AstProcessor
from models.audio_scene.silence import GATE_DBFS, RAISED_DBFS, frame_levels, level, loudest_dbfs
from models.calibration import Calibration
from models.processing import InvalidItem

RATE = 16_000
WEIGHTS = network.WEIGHTS
needs_weights = pytest.mark.skipif(not (WEIGHTS / "openvino/model.xml").exists(), reason="not trained yet")


def voiced(seconds: float, level_dbfs: float, seed: int = 0) -> NDArray[np.float32]:
    """Something like speech: a buzz with formants, in syllables, at an RMS level."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    wave = sum(np.sin(k * phase) / (1 + ((k * 120 - 600) / 400) ** 2) for k in range(1, 30))
    wave = np.asarray(wave) * np.maximum(0, np.sin(2 * np.pi * 4 * time)) + 1e-3 * rng.standard_normal(len(time))
    return np.asarray(wave * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(wave**2)), np.float32)


@pytest.fixture(scope="module")
def compiled() -> ov.CompiledModel:
    return ov.Core().compile_model(WEIGHTS / "openvino/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def probabilities(compiled: ov.CompiledModel, clips: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    batch = PROCESSOR.collate([PROCESSOR.prepare(clip).features for clip in clips])
    return Calibration.load(WEIGHTS).probabilities(compiled(batch)["logits"])


def test_full_windows_equal_the_published_extractor() -> None:
    clip = voiced(3.0, -20.0)
    theirs = network.feature_extractor()(clip, sampling_rate=RATE, return_tensors="np")["input_values"][0]
    np.testing.assert_allclose(PROCESSOR.prepare(clip).features, theirs, atol=1e-3)


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")  # true of the published settings
@pytest.mark.parametrize("seconds", [0.5, 3.0, 12.0])
def test_published_settings_equal_the_published_extractor(seconds: float) -> None:
    published = AstProcessor(mel_bins=128, max_length=1024, mean=-4.2677393, std=4.5689974, repeat=False)
    clip = voiced(seconds, -20.0)
    theirs = ASTFeatureExtractor()(clip, sampling_rate=RATE, return_tensors="np")["input_values"][0]
    np.testing.assert_allclose(published.prepare(clip).features, theirs, atol=1e-3)


def test_short_clips_are_repeated() -> None:
    clip = voiced(1.0, -20.0)
    whole = np.resize(clip, kaldi.samples_for(PROCESSOR.max_length))
    np.testing.assert_array_equal(PROCESSOR.prepare(clip).features, PROCESSOR.prepare(whole).features)


@pytest.mark.parametrize("samples", [1, 100, 401, 16_000, 40_960, 100_000])
def test_every_length_fills_one_window(samples: int) -> None:
    prepared = PROCESSOR.prepare(np.full(samples, 0.1, np.float32))
    assert prepared.features.shape == (PROCESSOR.max_length, PROCESSOR.mel_bins)
    assert prepared.features.dtype == np.float32
    assert np.isfinite(prepared.features).all()


@pytest.mark.parametrize(
    "item", [np.zeros(0, np.float32), np.array([0.0, np.nan], np.float32), np.zeros((2, 100), np.float32)]
)
def test_what_cannot_be_judged_is_refused(item: NDArray[np.float32]) -> None:
    with pytest.raises(InvalidItem):
        PROCESSOR.prepare(item)


def test_gate_is_below_quiet_speech_and_above_dither() -> None:
    rng = np.random.default_rng(0)
    dither = (rng.integers(-1, 2, 16_000) / 32768).astype(np.float32)
    assert loudest_dbfs(dither) < GATE_DBFS < loudest_dbfs(voiced(2.0, -75.0))
    assert not level(dither).any()
    assert loudest_dbfs(np.full(16_000, 0.5, np.float32)) < GATE_DBFS, "a constant offset is silence"


@pytest.mark.parametrize("dbfs", [-45.0, -60.0, -72.0])
def test_faint_events_are_turned_up(dbfs: float) -> None:
    assert loudest_dbfs(level(voiced(2.0, dbfs))) == pytest.approx(RAISED_DBFS, abs=0.1)


def test_faint_hiss_and_ordinary_speech_keep_their_level() -> None:
    hiss = np.random.default_rng(0).normal(0, 1e-3, 32_000).astype(np.float32)
    np.testing.assert_array_equal(level(hiss), hiss)
    np.testing.assert_array_equal(level(voiced(2.0, -25.0)), voiced(2.0, -25.0))


def test_level_is_measured() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    assert PROCESSOR.prepare(tone).extras["loudest_dbfs"] == pytest.approx(-3.0, abs=0.1)


@pytest.mark.parametrize("make", [creatures.cries, creatures.chirps, creatures.crackle])
def test_made_up_creatures_are_heard(make: Callable[[np.random.Generator], NDArray[np.float64]]) -> None:
    for seed in range(8):
        sound = make(np.random.default_rng(seed))
        assert sound.shape == (synthetic.SAMPLES,)
        assert np.isfinite(sound).all()
        levels = frame_levels(np.asarray(0.9 * sound / np.abs(sound).max(), np.float32))
        assert levels.max() - np.percentile(levels, 5) > 6.0  # dB: something happens
        np.testing.assert_array_equal(sound, make(np.random.default_rng(seed)))


@pytest.mark.parametrize("make", [synthetic.music, synthetic.noise])
def test_made_up_sounds_are_audio(make: Callable[[np.random.Generator], NDArray[np.float32]]) -> None:
    for seed in range(8):
        sound = make(np.random.default_rng(seed))
        assert sound.shape == (synthetic.SAMPLES,)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() == pytest.approx(0.9, abs=1e-3)
        np.testing.assert_array_equal(sound, make(np.random.default_rng(seed)))


def test_training_pictures_are_windows() -> None:
    picture = PROCESSOR.log_mel(voiced(3.0, -20.0)).astype(np.float16)
    changed = train.change(picture, np.random.default_rng(0))
    assert changed.shape == PROCESSOR.prepare(voiced(3.0, -20.0)).features.shape
    assert changed.dtype == np.float32
    np.testing.assert_array_equal(changed, train.change(picture, np.random.default_rng(0)))


def test_the_detector_hears_each_window_whatever_its_level() -> None:
    detector, chunk = VoiceActivity().eval(), activity.CHUNK
    clip = voiced(1.0, -25.0)
    size = 10 * chunk
    windows = detector.windows(clip, size)
    assert windows.shape == (-(-len(clip) // chunk) - size // chunk + 1, activity.WIDTH)
    np.testing.assert_allclose(detector.windows(clip * np.float32(0.1), size), windows, atol=1e-5)
    np.testing.assert_allclose(detector.windows(clip[: 12 * chunk], size)[0], windows[0], atol=1e-3)


def test_each_piece_is_taught_what_was_heard_in_it() -> None:
    pictures = np.zeros((2, bank.PICTURES.max_length, PROCESSOR.mel_bins), np.float16)
    heard = np.arange(2 * 82, dtype=np.float32).reshape(2, 82, 1).astype(np.float16)
    made = bank.Bank(pictures, np.zeros(2, np.int64), np.full(2, 0.5), heard)
    latest = bank.PICTURES.max_length - PROCESSOR.max_length
    found = made.heard(np.array([0, 1]), np.array([0, latest]))
    np.testing.assert_array_equal(found[:, 0], [0, 82 + latest * 160 // 512])


def test_untrained_network_has_the_bundled_shape() -> None:
    pictures = np.random.default_rng(0).normal(size=(3, PROCESSOR.max_length, PROCESSOR.mel_bins)).astype(np.float32)
    model = network.create(pictures).eval()
    with torch.inference_mode():
        assert model(torch.from_numpy(pictures)).logits.shape == (3, len(SPEC.classes))
        answer = network.Teacher().eval()(torch.from_numpy(pictures))
    assert answer.logits.shape == (3, len(SPEC.classes))
    assert answer.embeddings.shape == (3, activity.WIDTH)


@needs_weights
def test_bundled_folder_loads_as_a_published_one_does() -> None:
    extractor = AutoFeatureExtractor.from_pretrained(WEIGHTS)
    model = AutoModelForAudioClassification.from_pretrained(WEIGHTS)
    assert (extractor.mean, extractor.std) == (PROCESSOR.mean, PROCESSOR.std)
    assert (extractor.num_mel_bins, extractor.max_length) == (PROCESSOR.mel_bins, PROCESSOR.max_length)
    assert tuple(model.config.id2label[place] for place in range(4)) == SPEC.classes


@needs_weights
def test_record_of_the_export() -> None:
    record = json.loads((WEIGHTS / "export.json").read_text())
    assert record["max_probability_difference"] <= 0.01


@needs_weights
@settings(max_examples=6, deadline=None)
@given(seconds=st.lists(st.floats(0.1, 4.0), min_size=2, max_size=5))
def test_an_answer_does_not_depend_on_the_company(compiled: ov.CompiledModel, seconds: list[float]) -> None:
    clips = [voiced(length, -25.0, seed) for seed, length in enumerate(seconds)]
    alone = np.concatenate([probabilities(compiled, [clip]) for clip in clips])
    np.testing.assert_allclose(probabilities(compiled, clips), alone, atol=1e-3)


@needs_weights
@pytest.mark.parametrize("faint", [np.zeros(20_000), np.random.default_rng(1).integers(-1, 2, 20_000) / 32768])
def test_digital_silence_and_dither_are_silence(compiled: ov.CompiledModel, faint: NDArray[np.float64]) -> None:
    answer = probabilities(compiled, [faint.astype(np.float32)])[0]
    assert SPEC.classes[int(answer.argmax())] == "silence"
    assert answer.max() > 0.9


@needs_weights
@pytest.mark.parametrize("level_dbfs", [-20.0, -35.0, -50.0, -60.0, -70.0])
def test_quiet_voices_are_not_silence(compiled: ov.CompiledModel, level_dbfs: float) -> None:
    answer = probabilities(compiled, [voiced(2.5, level_dbfs)])[0]
    assert SPEC.classes[int(answer.argmax())] != "silence"
