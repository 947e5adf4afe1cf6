"""How a runner cuts what it is sent into engine calls, and how it answers item by item."""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from core.logs import JsonFormatter
from core.settings import BatchBounds, RunnerOptions
from engine.predictor import Predictor, example
from models.calibration import Calibration
from models.messages import InferenceRequest
from models.processing import Features, InvalidItem, Prepared, stack
from models.spec import AudioInput, ImageInput, ModelSpec
from models.store import Entry

SPEC = ModelSpec("toy", "toy", "Toy", ("no", "yes"), AudioInput(100, 10.0), "none", "none", "none")


class Processor:
    """Takes the first value; cannot judge negative ones, and stumbles over 13."""

    def prepare(self, item: NDArray[Any]) -> Prepared:
        if item[0] < 0:
            raise InvalidItem("negative")
        if item[0] == 13:
            raise ZeroDivisionError
        return Prepared(item[:1], {"first": float(item[0])})

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        return stack(batch)


class Engine:
    """Logits (0, first value); fails on any batch with 99, answers 98 with what is no number, and 97 twice."""

    description = "toy"
    streams = 1
    padding = 0.2
    device = ""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def warm_up(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        pass

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        values = inputs["input_values"][:, 0]
        self.sizes.append(len(values))
        if 99 in values:
            raise RuntimeError("engine failure")
        logits = np.stack([np.zeros_like(values), np.where(values == 98, np.nan, values)], axis=1)
        return np.repeat(logits, 2, axis=0) if 97 in values else logits

    def release(self) -> None:
        pass


@pytest.fixture
def runner() -> Predictor:
    return Predictor(SPEC, Entry("toy:1", Path(), Calibration.identity(2)), Engine(), Processor(), RunnerOptions())


def ask(runner: Predictor, *values: float) -> list[tuple[str, float | None]]:
    outcomes = runner.answer([np.full(100, value, np.float32) for value in values])
    return [(outcome.kind, outcome.extras.get("first")) for outcome in outcomes]


def test_answers_are_in_order(runner: Predictor) -> None:
    assert ask(runner, 3, 1, 2) == [("ok", 3), ("ok", 1), ("ok", 2)]


def test_probabilities_are_calibrated_and_sum_to_one(runner: Predictor) -> None:
    (outcome,) = runner.answer([np.ones(100, np.float32)])
    assert outcome.probabilities == pytest.approx([1 / (1 + np.e), np.e / (1 + np.e)])
    assert outcome.model == "toy:1"


def test_an_item_that_cannot_be_judged_fails_alone(runner: Predictor) -> None:
    assert ask(runner, 1, -1, 2) == [("ok", 1), ("invalid", None), ("ok", 2)]
    assert runner.answer([np.full(9, -1.0)])[0].error == "negative"


def test_an_item_that_the_processor_fails_on_fails_alone(runner: Predictor) -> None:
    assert ask(runner, 1, 13, 2) == [("ok", 1), ("failed", None), ("ok", 2)]


@pytest.mark.parametrize("bad", [99, 98, 97], ids=["raises", "not-finite", "too-many"])
def test_an_item_that_the_engine_fails_on_fails_alone(runner: Predictor, bad: float) -> None:
    assert ask(runner, 1, bad, 2) == [("ok", 1), ("failed", None), ("ok", 2)]


@pytest.mark.parametrize("bad", [13, 99], ids=["processor", "engine"])
def test_the_log_of_a_failure_says_whose_item_it_was(runner: Predictor, bad: float, tmp_path: Path) -> None:
    requests = [
        InferenceRequest(
            np.full(100, value, np.float32), f"request-{value:g}", f"00-{value:032.0f}-00f067aa0ba902b7-01"
        )
        for value in (1.0, bad, 2.0)
    ]
    handler = logging.FileHandler(tmp_path / "log")
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("bundle.predictor")
    logger.addHandler(handler)
    runner.answer_requests(requests)
    logger.removeHandler(handler)
    handler.close()
    logged = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (line,) = (line for line in logged if "request_id" in line)
    assert (line["request_id"], line["trace_id"]) == (f"request-{bad:g}", f"{bad:032.0f}")
    # The engine fails on the batch first, and then on the item alone; the processor fails on the item alone.
    of_batches = [line["requests"] for line in logged if "requests" in line]
    assert of_batches == ([["request-1", "request-2", "request-99"]] if bad == 99 else [])


def test_the_padding_that_is_counted_is_that_of_the_engine(runner: Predictor) -> None:
    """What is sent together may be computed apart: one long recording and three short ones pad nothing."""

    def figures() -> list[float]:
        names = ("batch_items_count", "batch_items_sum", "batch_cost_sum", "padding_cost_total")
        return [REGISTRY.get_sample_value(f"bundle_{name}", {"model": "toy"}) or 0.0 for name in names]

    before = figures()
    runner.answer([np.ones(round(100 * seconds), np.float32) for seconds in (8.0, 1.0, 1.0, 1.0)])
    assert [now - then for now, then in zip(figures(), before, strict=True)] == [2, 4, 11.0, 0.0]


def test_no_item_is_an_empty_answer(runner: Predictor) -> None:
    assert runner.answer([]) == []


def test_a_failure_says_nothing_of_the_inside(runner: Predictor) -> None:
    outcome = runner.answer([np.full(100, 99.0, np.float32)])[0]
    assert outcome.error == "the toy model failed"


def test_examples() -> None:
    assert example(SPEC).shape == (200,)
    picture = ModelSpec("p", "p", "P", ("a", "b"), ImageInput(8), "", "", "")
    assert example(picture).shape == (8, 8, 3)


def test_the_settings_say_how_much_may_be_padding() -> None:
    """And else the engine, for which padding may cost more than a batch gains."""
    clips = [np.full(size, 1.0, np.float32) for size in (100, 105, 110, 115)]
    for options, sizes in ((RunnerOptions(), [4]), (RunnerOptions(batch_padding=0.0), [1, 1, 1, 1])):
        engine = Engine()
        Predictor(SPEC, Entry("toy:1", Path(), Calibration.identity(2)), engine, Processor(), options).answer(clips)
        assert engine.sizes == sizes


class Gpu(Engine):
    """One step for up to 32 items, of which it waits for each."""

    device = "simulated"

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        time.sleep(0.004 * -(-len(inputs["input_values"]) // 32))
        return super().infer(inputs)


class SharedGpu(Gpu):
    """One of several on the same device, of which it remembers what there was under way, and what was not given back.

    Attributes:
        log: Begin and end of each batch of several items, and what was given back, by engine.
    """

    log: list[tuple[str, SharedGpu]]

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        if len(inputs["input_values"]) == 1:  # what is measured anyhow goes on to more
            return super().infer(inputs)
        self.log.append(("begin", self))
        logits = super().infer(inputs)
        self.log.append(("end", self))
        return logits

    def release(self) -> None:
        self.log.append(("release", self))


def on_gpu(
    folder: Path, tag: str = "toy:1", device: str = "simulated", *, model: str = "toy", engine: Gpu | None = None
) -> tuple[Predictor, Gpu]:
    engine = engine or Gpu()
    engine.device = device
    entry = Entry(tag, folder, Calibration.identity(2))
    return Predictor(SPEC, entry, engine, Processor(), RunnerOptions(), folder / "found" / f"{model}.json"), engine


def warm_up_together(*predictors: Predictor) -> None:
    with ThreadPoolExecutor(len(predictors)) as threads:
        assert [found.kind for found in threads.map(Predictor.warm_up, predictors)] == ["ok"] * len(predictors)


def test_models_that_share_a_gpu_are_measured_one_after_the_other(tmp_path: Path) -> None:
    """And each has given back what its largest batch took before the next begins."""
    SharedGpu.log = []
    engines = [SharedGpu() for _ in range(3)]
    warm_up_together(*(on_gpu(tmp_path, model=f"toy{n}", engine=engine)[0] for n, engine in enumerate(engines)))
    turns = [list(turn) for _, turn in itertools.groupby(SharedGpu.log, key=lambda event: event[1])]
    assert len(turns) == len(engines)
    assert [turn[-1][0] for turn in turns] == ["release"] * len(engines)


def test_processes_of_one_model_measure_once(tmp_path: Path) -> None:
    made = [on_gpu(tmp_path) for _ in range(3)]
    warm_up_together(*(predictor for predictor, _ in made))
    assert [max(engine.sizes) > 16 for _, engine in made].count(True) == 1
    assert len({predictor.batches for predictor, _ in made}) == 1


def test_memory_is_given_back_though_the_search_breaks_off(tmp_path: Path) -> None:
    class Broken(SharedGpu):
        def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
            if len(inputs["input_values"]) > 4:
                raise MemoryError
            return super().infer(inputs)

    SharedGpu.log = []
    made, engine = on_gpu(tmp_path, engine=Broken())
    with pytest.raises(MemoryError):
        made.warm_up()
    assert SharedGpu.log[-1] == ("release", engine)


def test_the_batches_of_a_gpu_are_measured_once_and_remembered(tmp_path: Path) -> None:
    first, engine = on_gpu(tmp_path)
    first.warm_up()
    assert first.batches is not None
    assert max(engine.sizes) > 16  # more than a processor is given
    again, engine = on_gpu(tmp_path)
    again.warm_up()
    assert again.batches == first.batches
    assert max(engine.sizes) == 1


@pytest.mark.parametrize(("tag", "device"), [("toy:2", "simulated"), ("toy:1", "another")])
def test_another_entry_or_device_is_measured_anew(tmp_path: Path, tag: str, device: str) -> None:
    on_gpu(tmp_path)[0].warm_up()
    anew, engine = on_gpu(tmp_path, tag, device)
    anew.warm_up()
    assert max(engine.sizes) > 16


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"tag": "toy:1", "device": "simulated", "engine": "toy", "items": 0, "cost": 1}'],
)
def test_what_is_no_record_is_measured_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "toy.json").write_bytes(content)
    made, engine = on_gpu(tmp_path)
    made.warm_up()
    assert max(engine.sizes) > 16


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "found").write_text("in the way")
    made, _ = on_gpu(tmp_path)
    assert made.warm_up().kind == "ok"
    assert made.batches is not None


def test_larger_batches_are_computed_at_once(tmp_path: Path) -> None:
    made, engine = on_gpu(tmp_path)
    made.batches = BatchBounds(64, 64.0)
    made.answer([np.full(100, 1.0, np.float32)] * 40)
    assert engine.sizes == [40]


def test_a_processor_is_not_measured(tmp_path: Path) -> None:
    made, engine = on_gpu(tmp_path, device="")
    made.warm_up()
    assert made.batches is None
    assert max(engine.sizes) == 1
    made.answer([np.full(100, 1.0, np.float32)] * 40)
    assert max(engine.sizes) == 16
