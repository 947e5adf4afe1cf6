"""The engines: what they answer does not depend on what else they compute, and the configured one is taken.

``tests/unit/models/test_golden.py`` compares what the two answer.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from core.settings import Settings
from engine import compiled, select
from engine.compiled import CompiledEngine, computes_bf16
from engine.native import NativeEngine
from engine.predictor import Predictor
from models import registry
from models.calibration import Calibration
from models.deepfake_mlp.network import load_native
from models.store import Entry
from training import examples, export
from training.published import layout
from training.published.importing import Source, describe_checkpoint

NAMES = list(registry.specs())
NATIVE = Settings(engine="native", device="cpu")
# What a wish for bf16 comes to on this processor.
BF16_OR_NOT = "bf16" if computes_bf16(ov.Core()) else "f32"


def entry(name: str) -> Entry:
    return Entry.read(f"{name}:bundled", registry.complete(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_native_engine_answers_alike_in_any_batch(name: str) -> None:
    spec = registry.specs()[name]
    predictor = Predictor.open(spec, entry(name), NATIVE)
    clips = examples.items(spec)
    together = np.array([outcome.probabilities for outcome in predictor.answer(clips)])
    alone = np.array([predictor.answer([clip])[0].probabilities for clip in clips])
    np.testing.assert_allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_batches_that_are_computed_at_once_do_not_disturb_each_other(name: str) -> None:
    spec = registry.specs()[name]
    both = Settings(engine="compiled", runners={name: {"threads": 1, "streams": 2}})
    predictor = Predictor.open(spec, entry(name), both)
    assert predictor.engine.streams == 2
    clips = examples.items(spec)
    alone = [predictor.answer([clip])[0].probabilities for clip in clips]
    with ThreadPoolExecutor(4) as crowd:  # more than there are streams
        answers = list(crowd.map(lambda clip: predictor.answer([clip])[0].probabilities, clips * 3))
    np.testing.assert_allclose(answers, alone * 3, atol=1e-6)


def test_a_lone_batch_has_all_threads_and_several_a_stream_each() -> None:
    """What runs a batch is seen by the form of the network that its request belongs to."""
    engine = CompiledEngine(entry("deepfake_mlp").compiled, threads=1, streams=2)
    made = example_of("deepfake_mlp")
    engine.warm_up(made)
    assert compiling() == []  # a model that is not asked has one form
    expected = engine.infer(made)
    for thread in compiling():
        thread.join(60)
    with engine.request() as first, engine.request() as second, engine.request() as third:
        found = [_threads(request) for request in (first, second, third)]
        for request in (first, second, third):
            np.testing.assert_allclose(np.array(request.infer(dict(made))[0]), expected, atol=1e-5)
    assert found == [(1, 2), (2, 2), (2, 2)]  # streams, and threads of all of them
    with engine.request() as again:
        assert _threads(again) == (1, 2)


def test_a_large_network_lies_in_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LARGE_FROM_BYTES", 1)
    engine = CompiledEngine(entry("deepfake_mlp").compiled, threads=1, streams=2)
    assert engine.streams == 1
    with engine.request() as only:
        assert _threads(only) == (1, 2)


COPY = torch.ops.aten._to_copy.default  # noqa: SLF001 - operations are named so


class Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own hook for subclasses
    """Notes the type of all numbers that are copied to a device.

    Attributes:
        device: Its type.
        types: The element types.
    """

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls an operation, and notes what it copies."""
        found = function(*args, **(kwargs or {}))
        if function is COPY and found.device.type == self.device:
            self.types.add(found.dtype)
        return found


def test_weights_in_16_bits_never_lie_on_the_device_in_32(tmp_path: Path) -> None:
    """A GPU would keep the room for them. The device is torch's own without memory, as there need not be a GPU."""
    spec = registry.specs()["voice_gender"]
    folder = layout.write(spec.name, tmp_path, small=True)
    _, checkpoint = describe_checkpoint(spec, Source(folder, "random weights"))
    checkpoint.save(folder)
    copies = Copies("meta")
    with copies:
        NativeEngine(spec, Entry("toy:1", folder, Calibration.identity(2)), device="meta", precision="bf16")
    assert copies.types == {torch.bfloat16}


def test_free_memory_is_given_back_to_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(None))
    engine = NativeEngine(registry.specs()["deepfake_mlp"], entry("deepfake_mlp"))
    engine.release()
    assert len(calls) == 1
    monkeypatch.undo()
    engine.release()  # without a GPU it does nothing


def compiling() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == compiled.MAKER]


def _threads(request: ov.InferRequest) -> tuple[int, int]:
    network = request.get_compiled_model()
    return network.get_property("NUM_STREAMS"), network.get_property("INFERENCE_NUM_THREADS")


def example_of(name: str) -> dict[str, NDArray[Any]]:
    """What a network reads of one real clip."""
    processor = registry.processor(name)
    return processor.collate([processor.prepare(examples.items(registry.specs()[name])[0]).features])


def test_bf16_is_used_where_it_is_asked_for() -> None:
    spec = registry.specs()["voice_gender"]
    engine = NativeEngine(spec, entry(spec.name), precision="bf16")
    assert engine.description == "native-cpu-bf16"
    batch = registry.processor(spec.name)
    inputs = batch.collate([batch.prepare(examples.items(spec)[0]).features])
    exact = NativeEngine(spec, entry(spec.name)).infer(inputs)
    assert 0 < np.abs(engine.infer(inputs) - exact).max() < 0.2


@pytest.mark.parametrize(
    ("settings", "engine", "description"),
    [
        (Settings(), CompiledEngine, "openvino-f32"),
        (Settings(engine="compiled"), CompiledEngine, "openvino-f32"),
        (Settings(engine="compiled", precision="bf16"), CompiledEngine, f"openvino-{BF16_OR_NOT}"),
        (Settings(engine="native", device="cpu"), NativeEngine, "native-cpu-f32"),
    ],
)
def test_the_configured_engine_is_taken(settings: Settings, engine: type, description: str) -> None:
    if select.gpus() and settings.device == "auto":
        settings = settings.model_copy(update={"device": "cpu"})
    built = select.build_engine(registry.specs()["deepfake_mlp"], entry("deepfake_mlp"), settings)
    assert isinstance(built, engine)
    assert built.description == description


@pytest.mark.parametrize(
    ("name", "description"),
    [("voice_gender", f"openvino-{BF16_OR_NOT}"), ("face_gender", "openvino-f32"),
     ("deepfake_cnn", "openvino-f32"), ("deepfake_mlp", "openvino-f32")],
)  # fmt: skip
def test_bf16_is_taken_by_networks_that_gain_and_agree(name: str, description: str) -> None:
    """The face network differs by too much; the spectrogram CNN agrees, and gains nothing."""
    assert (
        select.build_engine(registry.specs()[name], entry(name), Settings(engine="compiled")).description == description
    )


@pytest.mark.parametrize(
    ("settings", "variable", "words"),
    [
        ({"engine": "compiled", "device": "cuda"}, "DEVICE", "ENGINE=native"),
        ({"precision": "f16"}, "PRECISION", "DEVICE=cuda"),
    ],
)
def test_what_cannot_be_run_is_named(settings: dict[str, Any], variable: str, words: str) -> None:
    found = select.problem(Settings(**settings))
    assert found is not None
    assert found[0] == variable
    assert words in found[1]


def test_a_gpu_is_asked_for_where_there_is_none() -> None:
    found = select.problem(Settings(device="cuda"))
    assert (found is None) == (select.gpus() > 0)


def test_the_native_engine_without_its_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in an installation for serving: nothing of them can be found."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "modules", {k: v for k, v in sys.modules.items() if k not in select.NATIVE_PACKAGES})
    found = select.problem(Settings(engine="native"))
    assert found is not None
    assert found[0] == "ENGINE"
    assert "torch" in found[1]
    assert "requirements.txt" in found[1]
    assert select.problem(Settings()) is None


@pytest.mark.filterwarnings("ignore")  # the remarks of the tracer that OpenVINO uses
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_compiled_form_that_disagrees_is_not_saved(shift: float, tmp_path: Path) -> None:
    """The check at save time, on real features and a network that is not what it should be."""
    spec = registry.specs()["deepfake_mlp"]
    processor = registry.processor(spec.name)
    batch = processor.collate([processor.prepare(item).features for item in examples.items(spec)])
    network = load_native(registry.weights(spec.name))
    example = {name: torch.from_numpy(value) for name, value in batch.items()}
    converted = export.convert(network, example, {"input_values": [-1, 47]})
    Calibration.load(registry.weights(spec.name)).save(tmp_path)

    def expected(inputs: export.Arrays) -> NDArray[np.float32]:
        return export.logits(network, inputs) + np.array([shift, 0], np.float32)

    if shift:
        with pytest.raises(ValueError, match="differ by"):
            export.save(converted, tmp_path, expected, [batch])
        assert not (tmp_path / "openvino").exists()
        assert not (tmp_path / "export.json").exists()
    else:
        (tmp_path / "model.safetensors").touch(0o600)  # so write the libraries that train
        assert export.save(converted, tmp_path, expected, [batch]) < 0.01
        assert all(path.stat().st_mode & 0o444 == 0o444 for path in export.weight_files(tmp_path))
        assert Entry.read("saved", tmp_path).compiled.exists()
