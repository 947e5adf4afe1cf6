"""The face model: true answers on free portraits through what is served, and the parts that train it."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engine.compiled import CompiledEngine
from media.faces import cut_out_face, largest_face
from media.image import decode_image
from models import registry
from models.calibration import Calibration
from models.face_gender import SPEC
from models.face_gender.processing import PROCESSOR
from models.processing import InvalidItem
from models.store import check
from models.values import IR_MODEL

FACES = Path(__file__).parents[2] / "data" / "faces"
ANSWERS = {"female_1": "female", "female_2": "female", "female_3": "female", "male_1": "male"}
GOLDEN_SKIN = (204.1, 165.8, 144.1)  # mean red, green and blue in the middle of the face of female_1
WEIGHTS = registry.complete(SPEC.name)


@pytest.fixture(scope="module")
def engine() -> CompiledEngine:
    """What a runner runs."""
    return CompiledEngine(WEIGHTS / IR_MODEL, threads=1)


def crop(name: str) -> NDArray[np.uint8]:
    """The face of a portrait as the model reads it."""
    return cut_out_face(decode_image((FACES / f"{name}.jpg").read_bytes()), PROCESSOR.size)


def answer(engine: CompiledEngine, *crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Calibrated probabilities [crops, classes], all crops in one batch."""
    batch = PROCESSOR.collate([PROCESSOR.prepare(item).features for item in crops])
    return Calibration.load(WEIGHTS).probabilities(engine.infer(batch))


def portraits(*qualities: int) -> list[tuple[str | int, ...]]:
    """Each portrait with its true answer, for each quality."""
    endings: list[tuple[int, ...]] = [(quality,) for quality in qualities] or [()]
    return [(name, truth, *ending) for name, truth in ANSWERS.items() for ending in endings]


def winner(probabilities: NDArray[np.float32]) -> str:
    return SPEC.classes[int(probabilities.argmax())]


@pytest.mark.parametrize(("name", "truth"), portraits())
def test_portraits_are_answered_truly(engine: CompiledEngine, name: str, truth: str) -> None:
    probabilities = answer(engine, crop(name))[0]
    assert winner(probabilities) == truth
    assert probabilities.max() > 0.8
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("name", "truth"), portraits())
def test_a_tight_crop_gets_the_same_answer(engine: CompiledEngine, name: str, truth: str) -> None:
    picture = decode_image((FACES / f"{name}.jpg").read_bytes())
    x, y, width, height = (max(0, round(value)) for value in largest_face(picture).box)
    tight = cv2.resize(picture[y : y + height, x : x + width], (128, 128), interpolation=cv2.INTER_AREA)
    assert winner(answer(engine, cut_out_face(np.asarray(tight, np.uint8), PROCESSOR.size))[0]) == truth


@pytest.mark.parametrize(("name", "truth", "quality"), portraits(20, 50, 95))
def test_compression_and_size_do_not_change_the_answer(
    engine: CompiledEngine, name: str, truth: str, quality: int
) -> None:
    image = Image.open(FACES / f"{name}.jpg")
    image.thumbnail((240, 240))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    assert winner(answer(engine, cut_out_face(decode_image(buffer.getvalue()), PROCESSOR.size))[0]) == truth


def test_the_larger_of_two_is_answered(engine: CompiledEngine) -> None:
    assert winner(answer(engine, crop("group_two"))[0]) == "male"


def test_a_mirrored_face_gets_the_same_answer(engine: CompiledEngine) -> None:
    for item in map(crop, ANSWERS):
        first, second = answer(engine, item, item[:, ::-1].copy())
        assert np.abs(first - second).max() < 0.01


def test_a_face_alone_and_in_any_batch(engine: CompiledEngine) -> None:
    crops = [crop(name) for name in (*ANSWERS, "group_two")]
    together = answer(engine, *crops, *crops[::-1])
    alone = np.concatenate([answer(engine, item) for item in crops])
    np.testing.assert_allclose(together, np.concatenate([alone, alone[::-1]]), atol=1e-3)


def test_the_golden_colour_order(engine: CompiledEngine) -> None:
    """Red and blue exchanged must move the logits: a pipeline that confuses them twice would not notice itself."""
    item = crop("female_1")
    side = PROCESSOR.size
    golden = item[side // 2 : 3 * side // 4, side // 4 : 3 * side // 4].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(golden, GOLDEN_SKIN, atol=6)
    right, wrong = (engine.infer(PROCESSOR.collate([x.astype(np.float32)]))[0] for x in (item, item[..., ::-1]))
    assert np.abs(right - wrong).max() > 0.01  # it hardly needs colour; the same picture twice gives 0


def test_every_class_is_named_in_the_order_of_the_contract() -> None:
    assert SPEC.classes == ("female", "male")


def test_the_weights_are_those_that_were_exported() -> None:
    record = check(WEIGHTS)
    assert record["max_probability_difference"] <= 0.01
    for path in WEIGHTS.rglob("*"):
        assert not path.is_file() or path.stat().st_size <= 12_000_000


def test_preparing_keeps_the_values() -> None:
    item = np.random.default_rng(0).integers(0, 256, (PROCESSOR.size, PROCESSOR.size, 3), dtype=np.uint8)
    features = PROCESSOR.prepare(item).features
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, item)


def test_a_crop_of_another_size_is_scaled() -> None:
    item = np.full((300, 200, 3), 77, np.uint8)
    assert PROCESSOR.prepare(item).features.shape == (PROCESSOR.size, PROCESSOR.size, 3)


@pytest.mark.parametrize(
    "item",
    [
        np.zeros((112, 112), np.uint8),
        np.zeros((112, 112, 4), np.uint8),
        np.zeros((0, 112, 3), np.uint8),
        np.zeros((112, 112, 3), np.float32),
    ],
)
def test_what_is_no_crop_is_refused(item: NDArray[np.generic]) -> None:
    with pytest.raises(InvalidItem):
        PROCESSOR.prepare(item)
