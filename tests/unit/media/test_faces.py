"""Finding faces in free portraits, and cutting them out in one framing."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.errors import Unprocessable
from media import faces
from media.faces import TEMPLATE, Face, crop_face, cut_out_face, find_faces, largest_face, similarity
from media.image import Picture, decode_image

FACES = Path(__file__).parents[2] / "data" / "faces"
PORTRAITS = ("female_1", "female_2", "female_3", "male_1")
SIZE = 112
ALIKE = 0.04  # share of the face's size by which landmarks may differ; training moves pictures by more


def picture(name: str) -> NDArray[np.uint8]:
    return decode_image((FACES / f"{name}.jpg").read_bytes())


def tight(pixels: NDArray[np.uint8], margin: float) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The box of the largest face and a margin, as the training pictures are cut; and the place of its corner."""
    x, y, width, height = largest_face(pixels).box
    left, top = max(0, round(x - margin * width)), max(0, round(y - margin * height))
    crop = pixels[top : round(y + height * (1 + margin)), left : round(x + width * (1 + margin))]
    return crop.copy(), (left, top)


def apart(landmarks: NDArray[np.floating[Any]], face: Face) -> float:
    """Largest distance of landmarks from those of a face, as a share of the face's size."""
    return float(np.linalg.norm(landmarks - face.landmarks, axis=1).max() / max(face.box[2:]))


@pytest.mark.parametrize("name", PORTRAITS)
def test_one_face_in_a_portrait(name: str) -> None:
    faces = find_faces(picture(name))
    assert len(faces) == 1
    assert faces[0].score > 0.9


def test_two_faces_and_the_largest_first() -> None:
    faces = find_faces(picture("group_two"))
    assert len(faces) == 2
    assert faces[0].area > faces[1].area


def test_the_larger_face_is_taken_wherever_it_is() -> None:
    small = cv2.resize(picture("female_1"), (160, 160), interpolation=cv2.INTER_AREA)
    large = picture("male_1")
    for left in (True, False):
        canvas = np.full((480, 560, 3), 90, np.uint8)
        canvas[:, :384] = large if left else canvas[:, :384]
        canvas[:, 176:] = canvas[:, 176:] if left else large
        corner = (300, 390) if left else (300, 5)
        canvas[corner[0] : corner[0] + 160, corner[1] : corner[1] + 160] = small
        found = find_faces(canvas)
        assert len(found) == 2
        centre = found[0].landmarks.mean(axis=0)
        assert bool(centre[0] < 384) == left
        assert apart(largest_face(canvas).landmarks - (0 if left else (176, 0)), largest_face(large)) < ALIKE


def test_no_face_is_said_so() -> None:
    assert find_faces(picture("no_face")) == []
    with pytest.raises(Unprocessable, match="no face"):
        largest_face(picture("no_face"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3000, 2), (64, 64), (2048, 2048)])
def test_an_empty_picture_of_any_shape_has_no_face(shape: tuple[int, int]) -> None:
    assert find_faces(np.full((*shape, 3), 128, np.uint8)) == []


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("margin", [0.0, 0.15])
@pytest.mark.parametrize("side", [64, 128, 200, 900])
def test_a_tight_crop_is_found_and_framed_alike(name: str, margin: float, side: int) -> None:
    whole = picture(name)
    crop, corner = tight(whole, margin)
    scale = side / crop.shape[1]
    scaled = np.asarray(cv2.resize(crop, (side, round(scale * crop.shape[0]))), np.uint8)
    assert len(find_faces(scaled)) == 1
    assert apart(largest_face(scaled).landmarks / scale + corner, largest_face(whole)) < ALIKE


@pytest.mark.parametrize("side", [160, 320, 1000, 2000])
def test_landmarks_do_not_depend_on_the_resolution(side: int) -> None:
    whole = picture("female_1")
    scaled = np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    assert apart(largest_face(scaled).landmarks * 480 / side, largest_face(whole)) < ALIKE


def test_a_small_face_in_a_large_picture_is_found() -> None:
    canvas = np.full((1500, 2000, 3), 120, np.uint8)
    canvas[900:1060, 1500:1660] = cv2.resize(picture("female_1"), (160, 160), interpolation=cv2.INTER_AREA)
    face = largest_face(canvas)
    x, y, width, height = face.box
    assert 1500 < x < x + width < 1660
    assert 900 < y < y + height < 1060


@pytest.mark.parametrize("angle", [-25, -10, 10, 25])
def test_a_turned_face_is_set_upright(angle: int) -> None:
    whole = picture("female_1")
    matrix = cv2.getRotationMatrix2D((240, 240), angle, 1.0)
    turned = np.asarray(cv2.warpAffine(whole, matrix, (480, 480), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    upright = largest_face(cut_out_face(turned, SIZE))
    assert np.abs(upright.landmarks / SIZE - TEMPLATE).mean() < 0.03


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("name", PORTRAITS)
def test_a_face_turned_by_quarters_is_found_upright(name: str, quarters: int) -> None:
    whole = picture(name)
    upright = cut_out_face(whole, SIZE).astype(float)
    turned = np.ascontiguousarray(np.rot90(whole, quarters))
    crop = cut_out_face(turned, SIZE)
    assert np.abs(largest_face(crop).landmarks / SIZE - TEMPLATE).mean() < 0.03
    assert np.abs(crop - upright).mean() < 12
    face = largest_face(turned)
    x, y, width, height = face.box
    inside = (face.landmarks > (x, y)) & (face.landmarks < (x + width, y + height))
    assert inside.all()


def test_an_upright_face_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[tuple[int, ...]] = []

    def look(pixels: Picture) -> list[Face]:
        looked_at.append(pixels.shape)
        return find_faces(pixels)

    monkeypatch.setattr(faces, "find_faces", look)
    for name in PORTRAITS:
        largest_face(picture(name))
    assert looked_at == [picture(name).shape for name in PORTRAITS]
    largest_face(np.ascontiguousarray(np.rot90(picture(PORTRAITS[0]))))
    assert len(looked_at) == len(PORTRAITS) + 4


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_picture_turned_by_exif_gives_the_same_face(orientation: int) -> None:
    image = Image.open(FACES / "female_1.jpg").convert("RGB")
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.transpose(turn[orientation]).save(buffer, "PNG", exif=exif)
    expected = cut_out_face(np.asarray(image), SIZE)
    np.testing.assert_array_equal(cut_out_face(decode_image(buffer.getvalue()), SIZE), expected)


@pytest.mark.parametrize("name", PORTRAITS)
def test_landmarks_come_to_lie_on_the_template(name: str) -> None:
    crop = cut_out_face(picture(name), SIZE)
    again = largest_face(crop)
    assert np.abs(again.landmarks / SIZE - TEMPLATE).mean() < 0.03


def test_crops_keep_the_colour_order() -> None:
    crop = cut_out_face(picture("female_1"), SIZE)
    assert crop.shape == (SIZE, SIZE, 3)
    assert crop.dtype == np.uint8
    red, green, blue = crop[SIZE // 2 : SIZE * 2 // 3, SIZE // 4 : SIZE * 3 // 4].reshape(-1, 3).mean(axis=0)
    assert red > green > blue, "skin"


def test_a_face_beyond_the_edge_is_filled_by_repeating_it() -> None:
    pixels = np.full((40, 40, 3), (200, 10, 30), np.uint8)
    face = Face((-20, -20, 80, 80), (TEMPLATE * 80 - 20).astype(np.float32), 1.0)
    assert (crop_face(pixels, face, 32) == (200, 10, 30)).all()


def test_a_similarity_is_recovered_from_its_points() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(5, 2))
    angle, scale, shift = 0.6, 2.5, np.array([3.0, -7.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity(points, points @ turn.T + shift)
    np.testing.assert_allclose(matrix, np.column_stack([turn, shift]), atol=1e-9)


def test_equal_points_do_not_divide_by_zero() -> None:
    assert np.isfinite(similarity(np.zeros((5, 2)), TEMPLATE)).all()


def test_threads_do_not_disturb_each_other() -> None:
    pictures = [picture(name) for name in (*PORTRAITS, "group_two")]
    expected = [cut_out_face(pixels, SIZE) for pixels in pictures]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for seen, crop in zip(pool.map(lambda pixels: cut_out_face(pixels, SIZE), pictures), expected, strict=True):
                np.testing.assert_array_equal(seen, crop)
