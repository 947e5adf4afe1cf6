"""The heart sound model: level does not matter, batch-mates do not matter, quality is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.calibration import Calibration
from models.heart_sound import SPEC, network
from models.heart_sound.processing import (
    BANDS,
    MIN_SAMPLES,
    PROCESSOR,
    SAMPLE_RATE,
    drop_outs,
    repetition,
    spectrogram,
    unit_level,
)
from models.heart_sound.silence import without_silence
from models.processing import InvalidItem
from tests.support.served import DATA
from training import heart_changes
from training import heart_sound as recipe
from training.data.datasets import Clip, load_audio
from training.fitting.augment import power

WEIGHTS = network.WEIGHTS
needs_weights = pytest.mark.skipif(not (WEIGHTS / "openvino/model.xml").exists(), reason="not trained yet")


def beats(seconds: float, per_minute: float = 70.0, noise: float = 0.02, seed: int = 0) -> NDArray[np.float32]:
    """Two short low tones for every beat."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = time * per_minute / 60 % 1
    first = np.exp(-(((phase - 0.1) / 0.03) ** 2)) * np.sin(2 * np.pi * 45 * time)
    second = 0.7 * np.exp(-(((phase - 0.45) / 0.025) ** 2)) * np.sin(2 * np.pi * 60 * time)
    return (0.3 * (first + second) + noise * rng.standard_normal(len(time))).astype(np.float32)


@pytest.fixture(scope="module")
def compiled() -> ov.CompiledModel:
    return ov.Core().compile_model(WEIGHTS / "openvino/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def probabilities(compiled: ov.CompiledModel, clips: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    batch = PROCESSOR.collate([PROCESSOR.prepare(clip).features for clip in clips])
    return Calibration.load(WEIGHTS).probabilities(compiled(batch)["logits"])


@settings(max_examples=15, deadline=None)
@given(seconds=st.floats(0.001, 12.0), seed=st.integers(0, 9))
def test_features_have_their_shape(seconds: float, seed: int) -> None:
    clip = np.random.default_rng(seed).normal(0, 0.1, max(2, int(seconds * SAMPLE_RATE))).astype(np.float32)
    features = PROCESSOR.prepare(clip).features
    assert features.shape == (len(features), BANDS)
    assert len(features) == pytest.approx(max(seconds, 1.0) * 50, abs=2)
    assert np.isfinite(features).all()


@pytest.mark.parametrize("gain", [0.001, 0.1, 10.0])
def test_level_and_offset_do_not_matter(gain: float) -> None:
    clip = beats(4.0)
    np.testing.assert_allclose(
        PROCESSOR.prepare(gain * clip + np.float32(0.01)).features, PROCESSOR.prepare(clip).features, atol=0.02
    )


@pytest.mark.parametrize(
    "item",
    [
        np.zeros(0, np.float32),
        np.array([0.0, np.inf], np.float32),
        np.zeros((100, 2), np.float32),
    ],
)
def test_what_cannot_be_judged_is_refused(item: NDArray[np.float32]) -> None:
    with pytest.raises(InvalidItem):
        PROCESSOR.prepare(item)


@pytest.mark.parametrize(("level", "problem"), [(0.0, "too_quiet"), (0.5, "too_noisy")])
def test_where_there_is_nothing_to_hear_one_problem_is_named(level: float, problem: str) -> None:
    prepared = PROCESSOR.prepare(np.full(8000, level, np.float32))
    assert np.isfinite(prepared.features).all()
    assert [name for name, found in prepared.extras.items() if found and name.startswith("too_")] == [problem]


def test_quality() -> None:
    good = PROCESSOR.prepare(beats(8.0)).extras
    assert (good["too_short"], good["too_quiet"], good["too_noisy"]) == (0, 0, 0)
    assert good["duration_s"] == pytest.approx(8.0)
    assert PROCESSOR.prepare(beats(1.0)).extras["too_short"] == 1
    assert PROCESSOR.prepare(1e-4 * beats(8.0)).extras["too_quiet"] == 1
    hiss = np.random.default_rng(0).normal(0, 0.1, 8 * SAMPLE_RATE).astype(np.float32)
    assert PROCESSOR.prepare(hiss).extras["too_noisy"] == 1


@pytest.mark.parametrize("per_minute", [50.0, 75.0, 120.0])
def test_beats_repeat_and_hiss_does_not(per_minute: float) -> None:
    assert repetition(beats(8.0, per_minute), SAMPLE_RATE) > 0.5
    assert repetition(np.random.default_rng(0).normal(0, 1, 16_000).astype(np.float32), SAMPLE_RATE) < 0.2
    assert repetition(beats(0.5), SAMPLE_RATE) == 0.0


@pytest.mark.parametrize("seconds", [0.4, 3.0, 9.0])
def test_training_changes_keep_what_serving_promises(seconds: float) -> None:
    for seed in range(6):
        changed = heart_changes.change(beats(seconds), np.random.default_rng(seed))
        assert len(changed) >= MIN_SAMPLES
        assert changed.dtype == np.float32
        assert float(np.sqrt(np.mean(np.square(changed)))) == pytest.approx(1.0, abs=0.1)
        np.testing.assert_array_equal(changed, heart_changes.change(beats(seconds), np.random.default_rng(seed)))


def test_rare_classes_are_favoured_by_their_number_among_hearts() -> None:
    def clips(label: str, count: int, source: str = "a phone") -> list[Clip]:
        return [Clip(Path("x"), label, "g", {"source": source})] * count

    hearts = clips("Normal", 60) + clips("Murmur", 30) + clips("Artifact", 10)
    calibration = recipe.calibrate(hearts + clips("artifact", 500, recipe.NO_BEAT))
    artifact, _, _, murmur, normal = calibration.bias
    assert artifact > murmur > normal
    assert calibration == recipe.calibrate(hearts)


def data_sets(folder: Path) -> Path:
    """The three sets of the recipe with recordings of two recorders and a few other sounds."""
    for name, labels in (
        ("heart_sounds", SPEC.classes), ("heart_sounds_more", ("Murmur", "Normal")), ("audio_scenes", ("music",)),
    ):  # fmt: skip
        rows = ["file,label,group_id,split,source"]
        (folder / name).mkdir(parents=True)
        for place in range(50):
            sound = beats(1.5, 50 + 2 * place, 0.01 * place, place)
            soundfile.write(folder / name / f"{place}.wav", sound, SAMPLE_RATE)
            split, label = ("train", "val")[place % 2], labels[place // 2 % len(labels)]
            rows.append(f"{place}.wav,{label},{name} {place},{split},{name}")
        (folder / name / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_patient_or_recorder_is_left_out_and_other_sounds_are_learned(tmp_path: Path) -> None:
    clips = recipe.RECIPE.clips(data_sets(tmp_path))
    others = {place for place, clip in enumerate(clips) if clip.fields["source"] == recipe.NO_BEAT}
    assert others
    assert {clips[place].label for place in others} == {"artifact"}
    schemes = recipe.RECIPE.schemes(clips)
    for split in [*schemes["patients left out"], *schemes["recorders left out"]]:
        assert others <= set(split.train.tolist())
        assert not others & set(split.test.tolist())
        assert not {clips[place].group for place in split.train} & {clips[place].group for place in split.test}
    assert {split.name for split in schemes["recorders left out"]} == {"heart_sounds", "heart_sounds_more"}
    tested = [set(split.test.tolist()) for split in schemes["other sounds left out"]]
    assert tested
    assert all(part and part <= others for part in tested)


def test_recorders_are_also_left_out_without_what_has_no_formal_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "NO_FORMAL_LICENCE", "heart_sounds_more")
    clips = recipe.RECIPE.clips(data_sets(tmp_path))
    schemes = recipe.RECIPE.schemes(clips)
    for split, whole in zip(
        schemes["recorders left out; without PASCAL's"], schemes["recorders left out"], strict=True
    ):
        assert split.test.tolist() == whole.test.tolist()
        assert "heart_sounds_more" not in {clips[place].fields["source"] for place in split.train}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # OpenVINO still traces
def test_one_command_makes_the_same_bytes_again(tmp_path: Path) -> None:
    data = data_sets(tmp_path / "data")
    made = []
    for name in ("first", "second"):
        out = tmp_path / name
        recipe.main(["--data", str(data), "--out", str(out), "--steps", "20", "--copies", "1"])
        recipe.clip_copies.cache_clear()
        files = ("model.safetensors", "openvino/model.bin", "calibration.json", "history.json")
        made.append([(out / file).read_bytes() for file in files])
    assert made[0] == made[1]


def other_sounds() -> dict[str, NDArray[np.float32]]:
    """What is no heart sound, 5 s of each at 2 kHz; and voices."""
    rng, time = np.random.default_rng(5), np.arange(5 * SAMPLE_RATE) / SAMPLE_RATE
    voices = {file.stem: load_audio(file, SAMPLE_RATE) for file in sorted((DATA / "voices").glob("*.flac"))}
    made = {
        "nothing": np.zeros(time.size),
        "hiss": 0.1 * rng.standard_normal(time.size),
        "tone": 0.5 * np.sin(2 * np.pi * 300 * time),
        "hum": 0.1 * np.sin(2 * np.pi * 50 * time) + 0.05 * np.sin(2 * np.pi * 150 * time),
        "chord": 0.1 * np.sin(2 * np.pi * np.outer([220.0, 277.2, 329.6], time)).sum(axis=0),
    }
    return voices | {name: np.asarray(sound, np.float32) for name, sound in made.items()}


@needs_weights
@pytest.mark.parametrize("name", list(other_sounds()))
def test_what_does_not_beat_is_an_artefact(compiled: ov.CompiledModel, name: str) -> None:
    assert SPEC.classes[probabilities(compiled, [other_sounds()[name]])[0].argmax()] == "Artifact"


@pytest.mark.parametrize(("before", "after"), [(5, 0), (0, 15), (5, 5)])
def test_silence_around_a_recording_changes_nothing(before: int, after: int) -> None:
    sound = beats(6.0)
    padded = np.concatenate((np.zeros(before * SAMPLE_RATE), sound, np.zeros(after * SAMPLE_RATE))).astype(np.float32)
    np.testing.assert_array_equal(without_silence(padded, SAMPLE_RATE), sound)


@pytest.mark.parametrize("tone_db", [np.inf, 40.0])
def test_a_pause_is_cut_where_it_is(tone_db: float) -> None:
    sound = beats(6.0)
    level = np.sqrt(power(sound)) * 10 ** (-tone_db / 20)
    pause = level * np.random.default_rng(1).standard_normal(2 * SAMPLE_RATE)
    place = 3 * SAMPLE_RATE
    kept = without_silence(np.concatenate((sound[:place], pause, sound[place:])).astype(np.float32), SAMPLE_RATE)
    np.testing.assert_array_equal(kept, sound)


def test_what_beats_stays_whole() -> None:
    """Slow hearts, without noise too, and one knock that is 30 dB louder than the heart."""
    sounds = [beats(8.0, rate, noise) for rate in (50.0, 70.0, 140.0) for noise in (0.0, 0.02)]
    sounds += [load_audio(file, SAMPLE_RATE) for file in sorted((DATA / "hearts").glob("*.flac"))]
    knock = beats(20.0)
    knock[SAMPLE_RATE : SAMPLE_RATE + SAMPLE_RATE // 10] *= 30
    for sound in [*sounds, knock, np.zeros(4000, np.float32), np.zeros(0, np.float32)]:
        assert without_silence(sound, SAMPLE_RATE) is sound


@pytest.mark.parametrize("seconds", [0.1, 0.5, 0.9])
def test_a_drop_out_changes_nothing_beside_it(seconds: float) -> None:
    sound = beats(6.0)
    broken = sound.copy()
    broken[3 * SAMPLE_RATE : round((3 + seconds) * SAMPLE_RATE)] = 0
    found, plain = (PROCESSOR.prepare(one).features for one in (broken, sound))
    first, last = 148, round((3 + seconds) * 50) + 2  # frames; a window reaches two beyond it
    np.testing.assert_allclose(found[:first], plain[:first], atol=0.15)
    np.testing.assert_allclose(found[last:], plain[last:], atol=0.15)
    assert not found[first + 3 : last - 3].any()


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.02, 0.5])
def test_a_whole_recording_has_no_drop_out(noise: float) -> None:
    sound = beats(8.0, 50.0, noise)
    np.testing.assert_array_equal(PROCESSOR.prepare(sound).features, spectrogram(unit_level(sound)))


def test_frames_are_left_where_drop_outs_are_everywhere() -> None:
    decibels = np.zeros((90, BANDS), np.float32)
    decibels[::3] = -60
    assert not drop_outs(decibels).any()


@needs_weights
@pytest.mark.parametrize("stem", ["normal_1", "murmur_1"])
def test_the_bundled_examples_are_answered_rightly(compiled: ov.CompiledModel, stem: str) -> None:
    sound = load_audio(DATA / "hearts" / f"{stem}.flac", SAMPLE_RATE)
    assert SPEC.classes[probabilities(compiled, [sound])[0].argmax()].lower() == stem.split("_")[0]
