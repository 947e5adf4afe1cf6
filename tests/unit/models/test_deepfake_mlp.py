"""The feature network: its parts, its compiled form, and the clips that it answers for."""

import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp.features import FEATURE_NAMES
from models import registry
from models.calibration import Calibration
from models.deepfake_mlp import SPEC, network
from models.deepfake_mlp.processing import PROCESSOR
from models.processing import InvalidItem
from models.store import check
from tasks.explanation import FILE_NAME
from training import export, human_speech

WEIGHTS = registry.weights("deepfake_mlp")
VOICES = sorted((Path(__file__).parents[2] / "data" / "voices").glob("*.flac"))
rows = st.lists(st.lists(st.floats(-500, 8000, width=32), min_size=47, max_size=47), min_size=1, max_size=6).map(
    lambda values: np.array(values, np.float32)
)


@pytest.fixture(scope="module")
def compiled() -> ov.CompiledModel:
    return ov.Core().compile_model(WEIGHTS / "openvino" / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.fixture(scope="module")
def features() -> NDArray[np.float32]:
    clips = [np.asarray(soundfile.read(path, dtype="float32")[0], np.float32) for path in VOICES]
    return np.stack([PROCESSOR.prepare(clip).features for clip in clips])


def logits(module: network.FeatureNetwork, features: NDArray[np.float32]) -> NDArray[np.float32]:
    return export.logits(module, {network.INPUT: features})


def small(copies: int = 2) -> network.FeatureNetwork:
    torch.manual_seed(0)
    return network.FeatureNetwork(network.Config(copies=copies, widths=(16, 8))).eval()


def test_the_registry_knows_it() -> None:
    assert registry.specs()["deepfake_mlp"] is SPEC
    assert SPEC.classes == ("HUMAN", "AI_GENERATED")
    assert SPEC.runner == "DeepfakeMlp"


def test_the_features_travel_back_by_name() -> None:
    clip = np.asarray(soundfile.read(VOICES[0], dtype="float32")[0], np.float32)
    prepared = PROCESSOR.prepare(clip)
    assert prepared.features.shape == (47,)
    assert tuple(prepared.extras) == FEATURE_NAMES
    np.testing.assert_array_equal(np.array(list(prepared.extras.values()), np.float32), prepared.features)


def test_the_duration_rule() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 40 * 16_000).astype(np.float32)
    whole, cut = PROCESSOR.prepare(noise).features, PROCESSOR.prepare(noise[: 30 * 16_000]).features
    np.testing.assert_array_equal(whole, cut)
    short, padded = noise[:8000], np.pad(noise[:8000], (0, 8000))
    np.testing.assert_array_equal(PROCESSOR.prepare(short).features, PROCESSOR.prepare(padded).features)


@pytest.mark.parametrize("item", [np.zeros((2, 100), "f4"), np.zeros(0, "f4"), np.full(100, np.nan, "f4")])
def test_what_is_not_audio_is_refused(item: NDArray[np.float32]) -> None:
    with pytest.raises(InvalidItem):
        PROCESSOR.prepare(item)


def test_each_unit_reads_its_own_features_only() -> None:
    module = small()
    assert {unit: [FEATURE_NAMES[i] for i in places] for unit, places in module.places.items()} == {
        "stability": ["jitter", "shimmer"],
        "artifact": ["phase_coherence"],
        "dynamic_range": ["rms_variance"],
        "flatness": ["spectral_flatness"],
    }
    for unit, places in module.places.items():
        values = torch.zeros(2, 3, len(places))
        assert module.units[unit](values).shape == (2, 3, 1)
    assert isinstance(module.trunk[0], network.Parallel)
    assert module.trunk[0].weight.shape[1] == 47 + 4


def test_every_unit_and_feature_reaches_the_answer() -> None:
    module = network.load_native(WEIGHTS)
    values = torch.zeros(1, 1, 47, requires_grad=True)
    module.opinions(values)[..., 1].mean().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert (values.grad != 0).all()
    for unit in module.units.values():
        assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in unit.parameters())


def test_an_outlier_is_limited() -> None:
    module = network.load_native(WEIGHTS)
    wild = torch.full((1, 47), 1e4)
    assert module.standardise(wild).abs().max() <= network.FARTHEST
    assert torch.isfinite(module(wild)).all()


def test_scaling_makes_training_features_standard() -> None:
    module = small()
    values = torch.rand(500, 47) * torch.logspace(-2, 3, 47)
    level = FEATURE_NAMES.index(network.LEVEL)
    values[:, level] = 0.01 + 0.1 * torch.rand(500)
    module.fit_scaling(values)
    standardised = module.standardise(values)
    spread = standardised.std(dim=0)
    assert standardised.mean(dim=0).abs().max() < 0.2
    assert spread[level] < 1e-3, "the level itself says nothing"
    assert ((spread > 0.7) & (spread < 1.1)).sum() == 46


def test_a_saved_network_is_the_same(tmp_path: Path) -> None:
    module = small()
    module.fit_scaling(torch.rand(50, 47))
    network.save(module, tmp_path)
    values = np.random.default_rng(0).random((5, 47)).astype(np.float32)
    np.testing.assert_array_equal(logits(network.load_native(tmp_path), values), logits(module, values))


def test_other_features_are_refused(tmp_path: Path) -> None:
    network.save(small(), tmp_path)
    config = json.loads((tmp_path / network.CONFIG).read_text())
    (tmp_path / network.CONFIG).write_text(json.dumps({**config, "features": config["features"][::-1]}))
    with pytest.raises(ValueError, match="features"):
        network.load_native(tmp_path)


def test_the_compiled_form_is_the_native_one(compiled: ov.CompiledModel, features: NDArray[np.float32]) -> None:
    calibration = Calibration.load(WEIGHTS)
    ours = calibration.probabilities(compiled({network.INPUT: features})[0])
    native = calibration.probabilities(logits(network.load_native(WEIGHTS), features))
    np.testing.assert_allclose(ours, native, atol=0.01)
    assert check(WEIGHTS)["max_probability_difference"] <= 0.01


def test_the_compiled_form_has_the_agreed_ports(compiled: ov.CompiledModel) -> None:
    (port,), (output,) = compiled.inputs, compiled.outputs
    assert port.any_name == "input_values"
    assert output.any_name == "logits"
    assert port.partial_shape[0].is_dynamic
    assert port.partial_shape[1].get_length() == 47


@settings(max_examples=25, deadline=None)
@given(rows)
def test_an_answer_does_not_depend_on_its_batch(values: NDArray[np.float32]) -> None:
    module = network.load_native(WEIGHTS)
    together = logits(module, PROCESSOR.collate(list(values))[network.INPUT])
    alone = np.concatenate([logits(module, row[None]) for row in values])
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_human_speech_is_described_by_human_clips_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    human, generated = (rng.normal(mean, 0.1, (count, 47)).astype(np.float32) for mean, count in ((1, 300), (3, 200)))
    human_speech.write(human, generated, tmp_path)
    described = json.loads((tmp_path / FILE_NAME).read_text())
    assert described["human_clips"] == 300
    entry = described["features"]["jitter"]
    assert entry["mean"] == pytest.approx(1, abs=0.05)
    assert entry["quantiles"]["50"] == pytest.approx(1, abs=0.05)
    assert entry["evidence"][-1] > 1 > 0 > entry["evidence"][3]


@pytest.mark.parametrize("gain_db", [-20, 10])
def test_the_level_does_not_matter(gain_db: int) -> None:
    module = network.load_native(WEIGHTS)
    clip = np.asarray(soundfile.read(VOICES[0], dtype="float32")[0], np.float32)
    clip *= 0.2 / np.abs(clip).max()
    gain = np.float32(10 ** (gain_db / 20))
    rows = np.stack([PROCESSOR.prepare(scale * clip).features for scale in (np.float32(1), gain)])
    assert abs(rows[0] - rows[1]).max() > 10, "the features themselves say how loud a recording is"
    first, second = Calibration.load(WEIGHTS).probabilities(logits(module, rows))
    np.testing.assert_allclose(first, second, atol=0.02)
