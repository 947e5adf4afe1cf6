"""The two wav2vec2 classifiers, as bundled: what is served agrees with transformers, and with itself in any batch."""

from __future__ import annotations

import importlib
import json
import tracemalloc
from collections.abc import Sequence

import numpy as np
import openvino as ov
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, Wav2Vec2ForSequenceClassification

from models import export, registry
from models.export import digest
from models.processing import InvalidItem
from models.wav2vec2 import clipwise, filterbank, frames, network
from models.wav2vec2.details import Comparisons, Textures
from models.wav2vec2.processing import Wav2Vec2Processor

NAMES = ("voice_gender", "deepfake_wav2vec2")
RATE = 16_000
TOLERANCE = 1e-3  # of a logit
PROCESSOR = Wav2Vec2Processor()
DETAILS = Comparisons()


class Bundled:
    """One model as it is served: its processor and its compiled network."""

    def __init__(self, name: str) -> None:
        """Compiles the bundled network."""
        self.name = name
        self.spec = registry.specs()[name]
        self.weights = registry.weights(name)
        self.processor = registry.processor(name)
        settings_ = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
        self.network = ov.Core().compile_model(self.weights / "openvino" / "model.xml", "CPU", settings_)

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Logits float32 [clips, classes] of one batch."""
        batch = self.processor.collate([self.processor.prepare(clip).features for clip in clips])
        return np.asarray(self.network(batch)["logits"])


@pytest.fixture(scope="module", params=NAMES)
def bundled(request: pytest.FixtureRequest) -> Bundled:
    """Each of the two models."""
    return Bundled(request.param)


def clip(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """A buzz that comes and goes, float32 [samples]."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    pulses = np.sign(np.sin(2 * np.pi * rng.uniform(80, 300) * time)) * np.sin(3 * time) ** 2
    return np.asarray(rng.uniform(0.01, 0.3) * (pulses + 0.1 * rng.standard_normal(samples)), np.float32)


@given(lengths=st.lists(st.integers(200, 60_000), min_size=1, max_size=5), seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_a_clip_gets_the_same_answer_in_any_company(bundled: Bundled, lengths: list[int], seed: int) -> None:
    clips = [clip(length, seed + place) for place, length in enumerate(lengths)]
    together = bundled.logits(clips)
    alone = np.concatenate([bundled.logits([one]) for one in clips])
    assert together.shape == (len(clips), len(bundled.spec.classes))
    np.testing.assert_allclose(together, alone, atol=TOLERANCE)


@pytest.mark.parametrize("samples", [1, 160, 4_800, 16_000, 128_000])
@pytest.mark.parametrize("level", [0.0, 1e-4, 1.0])
def test_silence_and_short_clips_give_finite_answers(bundled: Bundled, samples: int, level: float) -> None:
    assert np.isfinite(bundled.logits([clip(samples) * level])).all()


def test_level_and_offset_do_not_matter(bundled: Bundled) -> None:
    loud = clip(32_000)
    np.testing.assert_allclose(bundled.logits([loud]), bundled.logits([0.25 * loud + 0.1]), atol=0.02)


def test_transformers_loads_the_folder_and_agrees(bundled: Bundled) -> None:
    model = AutoModelForAudioClassification.from_pretrained(bundled.weights).eval()
    extractor = AutoFeatureExtractor.from_pretrained(bundled.weights)
    clips = [clip(20_000, 1), clip(48_000, 2), clip(31_234, 3)]
    inputs = extractor(clips, sampling_rate=RATE, padding=True, return_tensors="pt")
    ours = bundled.processor.collate([bundled.processor.prepare(one).features for one in clips])
    np.testing.assert_allclose(inputs["input_values"].numpy(), ours["input_values"], atol=1e-5)
    np.testing.assert_array_equal(inputs["attention_mask"].numpy(), ours["attention_mask"])
    with torch.inference_mode():
        logits = model(**inputs).logits.numpy()
    np.testing.assert_allclose(logits, bundled.logits(clips), atol=0.05)  # the compiled weights are kept in 16 bits
    assert tuple(model.config.id2label.values()) == bundled.spec.classes
    assert model.config.feat_extract_norm == "layer"


def test_record_of_the_export_fits_the_files(bundled: Bundled) -> None:
    record = json.loads((bundled.weights / "export.json").read_text())
    assert record["max_probability_difference"] <= 0.01
    assert {name: digest(bundled.weights / name) for name in record["sha256"]} == record["sha256"]
    assert all(path.stat().st_size < 12e6 for path in bundled.weights.rglob("*"))


@pytest.mark.parametrize("name", NAMES)
def test_serving_code_needs_no_training_library(name: str) -> None:
    module = importlib.import_module(f"models.{name}.processing")
    assert module.PROCESSOR.sample_rate == registry.specs()[name].input.sample_rate  # type: ignore[union-attr]
    assert module.PROCESSOR.min_s == registry.specs()[name].input.min_s  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (np.zeros(0, np.float32), "no samples"),
        (np.zeros((2, 100), np.float32), "one channel"),
        (np.array([0.0, np.nan], np.float32), "not finite"),
        (np.array([0.0, np.inf], np.float32), "not finite"),
    ],
)
def test_what_cannot_be_judged_is_refused(item: NDArray[np.float32], words: str) -> None:
    with pytest.raises(InvalidItem, match=words):
        PROCESSOR.prepare(item)


@given(samples=st.integers(4_000, 40_000), seed=st.integers(0, 99), offset=st.floats(-0.5, 0.5))
@settings(deadline=None, max_examples=30)
def test_prepared_clips_have_zero_mean_and_unit_variance(samples: int, seed: int, offset: float) -> None:
    features = PROCESSOR.prepare(clip(samples, seed) + np.float32(offset)).features
    assert features.dtype == np.float32
    assert features.mean() == pytest.approx(0.0, abs=1e-3)
    assert features.std() == pytest.approx(1.0, abs=1e-2)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_clips_are_normalised_in_single_precision(offset: float) -> None:
    """As exactly as it matters, and in half the time and memory of double precision."""
    clip = (0.1 * np.random.default_rng(0).standard_normal(30 * RATE) + offset).astype(np.float32)
    exact = clip - clip.mean(dtype=np.float64)
    exact /= np.sqrt(np.mean(exact**2) + 1e-7)
    tracemalloc.start()
    normalised = PROCESSOR.prepare(clip).features
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, exact, atol=1e-5)
    assert peak < 3.5 * clip.nbytes


def test_silence_stays_silent() -> None:
    assert not PROCESSOR.prepare(np.full(1_000, 0.1, np.float32)).features.round(2).any()


@given(lengths=st.lists(st.integers(1, 30_000), min_size=1, max_size=6))
def test_the_mask_covers_the_samples(lengths: list[int]) -> None:
    batch = PROCESSOR.collate([np.ones(length, np.float32) for length in lengths])
    values, mask = batch["input_values"], batch["attention_mask"]
    assert values.shape == mask.shape == (len(lengths), -(-max(16_000, *lengths) // 1_600) * 1_600)
    assert mask.dtype == np.int64
    assert values.sum(axis=1).tolist() == lengths
    assert mask.sum(axis=1).tolist() == [max(length, 4_000) for length in lengths]
    assert (np.diff(mask, axis=1) <= 0).all()


def test_filters_have_unit_energy_and_four_phases() -> None:
    bands = [*filterbank.linear_bands(100.0, 700.0, 4, 0.05), *filterbank.mel_bands(200.0, 7_000.0, 30, 0.025)]
    waves = filterbank.kernels(bands, 1024)
    count = len(bands)
    assert waves.shape == (filterbank.PHASES * count, 1024)
    np.testing.assert_allclose((waves**2).sum(axis=1), 1.0)
    np.testing.assert_allclose(waves[: 2 * count], -waves[2 * count :])
    peaks = np.abs(np.fft.rfft(waves[:count], 16_000, axis=1)).argmax(axis=1)  # Hz
    np.testing.assert_allclose(peaks, [band.centre for band in bands], rtol=0.02, atol=10)


def test_ramps_cover_the_level_of_each_band_whatever_the_loudness() -> None:
    bands = filterbank.linear_bands(200.0, 6_000.0, 8, 0.032)
    spec = registry.specs()["voice_gender"]
    model = Wav2Vec2ForSequenceClassification(network.configuration(spec, bands, 512, DETAILS)).eval()
    clips = [torch.from_numpy(PROCESSOR.prepare(clip(24_000, seed)).features) for seed in range(6)]
    filterbank.initialise(model, bands, clips, details=DETAILS)
    first, second, third, _ = model.wav2vec2.feature_extractor.conv_layers
    with torch.inference_mode():
        outputs = [second(first(one[None, None])) for one in clips]
        details = torch.cat([third(one)[0] for one in outputs], 1)
    ramps = torch.cat(outputs, 2)[0, :-1]
    assert ramps.min() >= 0
    assert ramps.max() == pytest.approx(filterbank.CEILING)
    share = ramps.reshape(filterbank.RAMPS, len(bands), -1).sum(0).mean(1) / (filterbank.RAMPS * filterbank.CEILING)
    assert ((share > 0.3) & (share < 0.7)).all()  # every band uses its scale, from about one end to the other
    assert details.shape[0] == filterbank.conv_dims(len(bands), DETAILS)[2]
    assert (
        details.mean(1) < 0.05
    ).sum() <= 2  # both halves of every comparison are heard, but one beyond the last band
    assert not any(p.requires_grad for layer in (first, second, third) for p in layer.parameters())


def test_a_model_taken_apart_is_the_same_when_put_together() -> None:
    bands = filterbank.linear_bands(200.0, 6_000.0, 8, 0.032)
    spec = registry.specs()["voice_gender"]
    model, other = (
        Wav2Vec2ForSequenceClassification(network.configuration(spec, bands, 512, DETAILS)).eval() for _ in range(2)
    )
    batch = PROCESSOR.collate([PROCESSOR.prepare(clip(20_000)).features, PROCESSOR.prepare(clip(9_000)).features])
    expected = export.logits(model, batch)
    bank = frames.split(model)
    with torch.inference_mode():
        values = bank(torch.from_numpy(batch["input_values"])[:, None])
    counts = [(int(n) - 512) // 160 + 1 for n in batch["attention_mask"].sum(1)]
    counts = [((n - 3) // 2 + 1) - 2 for n in counts]  # the second and third layer
    mask = (np.arange(values.shape[2]) < np.array(counts)[:, None]).astype(np.int64)
    parts = export.logits(model, {"input_values": values.numpy(), "attention_mask": mask})
    np.testing.assert_allclose(parts, expected, atol=1e-5)
    frames.join(bank, model, other)
    np.testing.assert_allclose(export.logits(other, batch), expected, atol=1e-5)


def test_textures_read_how_far_the_cepstrum_moves() -> None:
    details = Textures(cepstra=3, lags=(1, 4))
    rows = details.rows(16)
    assert rows.shape == (6, 16, details.kernel) == (6, 16, 5)
    still = np.broadcast_to(np.random.default_rng(0).random(16)[:, None], (16, 5))
    np.testing.assert_allclose((rows * still).sum((1, 2)), 0.0, atol=1e-5)
    louder = np.broadcast_to(np.arange(5.0), (16, 5))  # one step a frame, in all bands alike
    np.testing.assert_allclose((rows * louder).sum((1, 2)), [16, 0, 0, 64, 0, 0], atol=1e-4)


def test_a_clipwise_start_hands_every_frame_the_averages_of_its_clip() -> None:
    bands, details = filterbank.linear_bands(200.0, 6_000.0, 24, 0.032), Textures(20, (1, 2, 10))
    spec = registry.specs()["deepfake_wav2vec2"]
    model = Wav2Vec2ForSequenceClassification(network.configuration(spec, bands, 512, details)).eval()
    prepared = [PROCESSOR.prepare(clip(32_000, seed)).features for seed in range(12)]
    filterbank.initialise(model, bands, [torch.from_numpy(one) for one in prepared], details)
    bank = frames.split(model)
    copies = frames.compute(bank, PROCESSOR, [[one] for one in prepared], lambda audio, _: audio, 1, 0)
    labels = np.arange(12, dtype=np.int64) % 2
    clipwise.start(model, copies, labels, np.full(12, 1 / 12), [""] * 12)
    seen: list[torch.Tensor] = []
    layer = model.wav2vec2.encoder.layers[0].attention
    layer.register_forward_hook(lambda _, __, output: seen.append(output[0][0, :, :60]))
    with torch.inference_mode():
        logits = [model(torch.from_numpy(forms[0])[None].float() * frames.STEP).logits[0] for forms in copies]
    assert all(torch.allclose(one, one[:1].expand_as(one), atol=1e-4) for one in seen)  # the same for all frames
    averages = torch.stack([one[0] for one in seen])
    torch.testing.assert_close(averages.mean(0), torch.zeros(60), atol=1e-2, rtol=0)
    assert 0.5 < float(averages.std(0).median()) < 1.5
    assert [int(one.argmax()) for one in logits] == labels.tolist()  # twelve clips are learned by heart
