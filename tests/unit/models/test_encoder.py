"""The shared speech encoder: one answer alone, in a batch, native and compiled; speech is found in speech only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import soundfile
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import training.encoder
from dsp.temporal import without_pauses
from engine.compiled import CompiledEngine
from engine.predictor import Predictor
from models import registry
from models.encoder import COMPILED_OFFSETS, LEVELS, NATIVE, SAMPLE_RATE, WEIGHTS, assemble
from models.encoder.network import Encoder, load_native
from models.encoder.processing import PROCESSOR, QUIETEST_DBFS, frame_levels, log_mel, measured_levels
from models.values import IR_MODEL
from tasks import base
from tests.support.served import DATA

Audio = NDArray[np.float32]
MODELS = ("voice_gender", "audio_scene", "deepfake_encoder")
VOICES = sorted((DATA / "voices").glob("*.flac"))


def read(path: Path) -> Audio:
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == SAMPLE_RATE
    return np.asarray(samples, np.float32)


def tone(hertz: float, seconds: float = 3.0, level: float = 0.5) -> Audio:
    return np.asarray(
        level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE), np.float32
    )


@pytest.fixture(scope="module")
def predictors() -> dict[str, Predictor]:
    return {name: Predictor.bundled(name) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_native_and_compiled_agree_and_batch_mates_change_nothing(name: str) -> None:
    folder = registry.complete(name)
    native, compiled = load_native(folder), CompiledEngine(folder / IR_MODEL, precision="f32")
    clips = [PROCESSOR.prepare(read(path)).features for path in VOICES] + [PROCESSOR.prepare(tone(300, 0.7)).features]
    together = compiled.infer(PROCESSOR.collate(clips))
    for clip, row in zip(clips, together, strict=True):
        alone = PROCESSOR.collate([clip])
        np.testing.assert_allclose(compiled.infer(alone)[0], row, atol=2e-3)
        with torch.inference_mode():
            expected = native(*(torch.from_numpy(array) for array in alone.values())).numpy()[0]
        np.testing.assert_allclose(row, expected, atol=2e-2, rtol=1e-2)


def test_the_committed_encoder_is_what_its_command_writes(tmp_path: Path) -> None:
    """Its values are kept once, in the native file, and the compiled form takes them from there."""
    training.encoder.write(Encoder.load(WEIGHTS / NATIVE), tmp_path)
    assert not list(tmp_path.rglob("*.bin"))
    for name in (NATIVE, COMPILED_OFFSETS):  # the graph's own names count what the process has converted before
        assert (tmp_path / name).read_bytes() == (WEIGHTS / name).read_bytes(), name
    batch = PROCESSOR.collate([PROCESSOR.prepare(tone(300, 0.7)).features])
    inputs = {name: batch[name] for name in ("pictures", "lengths")}
    made, committed = (ov.compile_model(assemble.read(folder), "CPU")(inputs) for folder in (tmp_path, WEIGHTS))
    for one, other in zip(made.values(), committed.values(), strict=True):
        np.testing.assert_array_equal(one, other)


@settings(deadline=None, max_examples=20)
@given(st.floats(-40, 20), st.integers(1, 40_000))
def test_the_picture_does_not_depend_on_how_loud_a_clip_is(gain_db: float, samples: int) -> None:
    clip = np.random.default_rng(samples).standard_normal(samples).astype(np.float32) * 0.05
    assume(frame_levels(clip).max() + gain_db > QUIETEST_DBFS)  # below it every level counts as this
    one, other = (PROCESSOR.prepare(clip * np.float32(factor)).features for factor in (1.0, 10 ** (gain_db / 20)))
    np.testing.assert_allclose(one[1:], other[1:], atol=2e-2)
    np.testing.assert_allclose(other[0, :LEVELS] - one[0, :LEVELS], gain_db, atol=0.05)


@pytest.mark.parametrize("samples", [1, 159, 320, 321, 16_000, 160_001])
def test_every_length_has_a_picture_of_an_even_number_of_finite_frames(samples: int) -> None:
    picture = log_mel(np.full(samples, 0.1, np.float32))
    assert picture.shape[0] % 2 == 0
    assert np.isfinite(picture).all()


def test_digital_silence_has_the_lowest_levels_and_an_answer(predictors: dict[str, Predictor]) -> None:
    nothing = np.zeros(2 * SAMPLE_RATE, np.float32)
    assert measured_levels(nothing).tolist() == [QUIETEST_DBFS] * LEVELS
    (outcome,) = predictors["audio_scene"].answer([nothing])
    assert outcome.probabilities[3] > 0.9  # silence


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(3 * SAMPLE_RATE, np.float32),
        tone(300),
        tone(50) + tone(100, level=0.3),
        tone(350) + tone(440),
        np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32),
    ],
    ids=["silence", "tone", "hum", "dial tone", "noise"],
)
def test_what_is_no_speech_holds_none(sound: Audio, predictors: dict[str, Predictor]) -> None:
    for name in ("voice_gender", "deepfake_encoder"):
        (outcome,) = predictors[name].answer([sound])
        assert outcome.extras[base.SPEECH_S] < base.MIN_SPEECH_S / 2


@pytest.mark.parametrize("hertz", [50, 300, 440, 2_000])
@pytest.mark.parametrize("level", [1.0, 0.05])
def test_a_steady_tone_is_never_silence(hertz: float, level: float, predictors: dict[str, Predictor]) -> None:
    (outcome,) = predictors["audio_scene"].answer([tone(hertz, level=level)])
    assert outcome.probabilities[3] < 0.3


@pytest.mark.parametrize("path", VOICES, ids=lambda path: path.stem)
@pytest.mark.parametrize("gain_db", [0, -20, -40])
def test_speech_is_speech_at_any_level_and_keeps_its_gender(
    path: Path, gain_db: int, predictors: dict[str, Predictor]
) -> None:
    clip = read(path) * np.float32(10 ** (gain_db / 20))
    (scene,), (voice,) = predictors["audio_scene"].answer([clip]), predictors["voice_gender"].answer([clip])
    assert scene.probabilities[0] > 0.5
    assert voice.extras[base.SPEECH_S] > 1.5
    assert np.argmax(voice.probabilities) == int(path.stem.startswith("male"))


@pytest.mark.parametrize("before", [0, 3, 15])
@pytest.mark.parametrize("after", [0, 3, 15])
def test_silence_around_a_voice_changes_its_answer_little(
    before: int, after: int, predictors: dict[str, Predictor]
) -> None:
    clip = without_pauses(read(DATA / "voices" / "female_1.flac"), SAMPLE_RATE)
    around = without_pauses(np.pad(clip, (before * SAMPLE_RATE, after * SAMPLE_RATE)), SAMPLE_RATE)
    for name in ("voice_gender", "deepfake_encoder"):
        one, other = predictors[name].answer([clip, around])
        assert abs(one.probabilities[0] - other.probabilities[0]) < 0.1
