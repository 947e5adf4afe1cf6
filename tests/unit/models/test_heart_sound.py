"""The heart sound model: level does not matter, company does not matter, quality is judged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.calibration import Calibration
from models.heart_sound import SPEC, bank, network, statistics, train
from models.heart_sound.processing import BANDS, MIN_SAMPLES, PROCESSOR, SAMPLE_RATE, SUMMARY_ROWS, pack, unpack
from models.heart_sound.quality import repetition
from models.processing import InvalidItem
from models.store import check
from training import export
from training.evaluation import metrics
from training.fitting import calibrate, unseen

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
    summary, picture = unpack(features)
    assert summary.shape == (statistics.SIZE,)
    assert picture.shape == (len(features) - SUMMARY_ROWS, BANDS)
    assert len(picture) == pytest.approx(max(seconds, 1.0) * 50, abs=2)
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(pack(summary, picture), features)


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


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_nothing_to_hear_is_noise(level: float) -> None:
    prepared = PROCESSOR.prepare(np.full(8000, level, np.float32))
    assert np.isfinite(prepared.features).all()
    assert prepared.extras["too_noisy"] == 1


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
        changed = bank.change(beats(seconds), np.random.default_rng(seed))
        assert len(changed) >= MIN_SAMPLES
        assert changed.dtype == np.float32
        assert float(np.sqrt(np.mean(np.square(changed)))) == pytest.approx(1.0, abs=1e-3)
        np.testing.assert_array_equal(changed, bank.change(beats(seconds), np.random.default_rng(seed)))


def test_adjustment_trades_accuracy_for_rare_classes() -> None:
    labels = np.repeat(np.arange(5), [10, 10, 10, 20, 50])
    rng = np.random.default_rng(0)
    logits = (1.5 * np.eye(5)[labels] + rng.normal(size=(100, 5)) + np.log([0.1, 0.1, 0.1, 0.2, 0.5])).astype(
        np.float32
    )
    shift = train.adjustment(logits, labels)
    assert shift[0] >= shift[4]
    assert metrics.macro_recall(labels, logits + shift) >= metrics.macro_recall(labels, logits)


def test_training_recordings_are_answered_by_the_member_that_did_not_see_them() -> None:
    labels = np.tile(np.arange(5), 10)
    pictures = [PROCESSOR.prepare(beats(1.0, seed=seed)).features for seed in range(50)]
    summaries, frames = zip(*map(unpack, pictures), strict=True)
    recordings = bank.Bank(np.stack(summaries), list(frames), labels, np.arange(50).astype(str))
    ensemble = network.Ensemble(network.MEMBERS).eval()
    held = train.unseen_answers(ensemble, recordings, seed=3)
    each = np.stack([train.answers(member, recordings) for member in ensemble.members])
    chosen = np.abs(each - held).sum(axis=2).argmin(axis=0)
    np.testing.assert_allclose(held, each[chosen, np.arange(50)], atol=1e-5)
    for member, (inside, _) in enumerate(train._folds(recordings, seed=3)):
        assert member not in chosen[inside]


@needs_weights
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # OpenVINO still traces
def test_finishing_fits_the_temperature_for_the_bias_that_is_served(tmp_path: Path) -> None:
    """A little more or less of it is worse on the validation part."""
    folder = tmp_path / "data" / "heart_sounds"
    folder.mkdir(parents=True)
    rows = ["file,label,group_id,split"]
    for place in range(50):
        soundfile.write(folder / f"{place}.wav", beats(1.5, 50 + 2 * place, 0.01 * place, place), SAMPLE_RATE)
        rows.append(f"{place}.wav,{SPEC.classes[place % 5]},g{place},{'train' if place < 25 else 'val'}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    weights = Path(shutil.copytree(WEIGHTS, tmp_path / "weights"))
    train.finish(weights, tmp_path / "data", seed=0)
    served, validation = Calibration.load(weights), bank.recordings(tmp_path / "data", "val")
    logits = train.answers(network.load_native(weights), validation)

    def loss(factor: float) -> float:
        temperature = served.temperature * factor
        rows = Calibration(temperature, tuple(np.array(served.bias) / factor)).probabilities(logits)
        likelihood = np.log(rows[np.arange(len(rows)), validation.labels]).mean()
        return float(calibrate.TEMPERATURE_PENALTY * np.log(temperature) ** 2 - likelihood)

    assert loss(1.0) < min(loss(1.02), loss(1 / 1.02))
    assert (unseen.load(weights) or {}).keys() == {"accuracy", "macro_recall"}
    assert check(weights)["sha256"][unseen.FILE_NAME]


@needs_weights
@settings(max_examples=6, deadline=None)
@given(seconds=st.lists(st.floats(0.3, 15.0), min_size=2, max_size=4))
def test_an_answer_does_not_depend_on_the_company(compiled: ov.CompiledModel, seconds: list[float]) -> None:
    clips = [beats(length, 60 + 10 * seed, seed=seed) for seed, length in enumerate(seconds)]
    alone = np.concatenate([probabilities(compiled, [clip]) for clip in clips])
    np.testing.assert_allclose(probabilities(compiled, clips), alone, atol=1e-3)


@needs_weights
def test_compiled_equals_native(compiled: ov.CompiledModel) -> None:
    batch = PROCESSOR.collate([PROCESSOR.prepare(beats(5.0)).features, PROCESSOR.prepare(beats(2.0)).features])
    native = export.logits(network.load_native(), batch)
    np.testing.assert_allclose(compiled(batch)["logits"], native, atol=0.05)
    assert json.loads((WEIGHTS / "export.json").read_text())["max_probability_difference"] <= 0.01
