"""Face gender (docs/contract.md)."""

from __future__ import annotations

import io
from typing import Any

import bentoml
import httpx
import pytest
from PIL import ExifTags, Image

from models.face_gender import SPEC
from tests.support.audio_bytes import tone, wav
from tests.support.served import DATA
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

PATHS = ("/api/gender", "/predict")


def ask(client: httpx.Client, image: bytes, path: str = "/api/gender") -> httpx.Response:
    return client.post(path, files={"image": ("face.jpg", image)})


def answer(client: httpx.Client, image: bytes) -> dict[str, Any]:
    response = ask(client, image)
    assert response.status_code == 200, response.text
    predictions: dict[str, Any] = response.json()["predictions"]
    return predictions


def picture(name: str) -> Image.Image:
    return Image.open(DATA / "faces" / name).convert("RGB")


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("path", PATHS)
def test_the_answer_has_exactly_the_fields_of_the_reference(client: httpx.Client, face: bytes, path: str) -> None:
    response = ask(client, face, path)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"predictions", "success"}
    assert body["success"] is True
    found = body["predictions"]
    assert set(found) == {"class", "label", "meta", "predictions", "probability"}
    assert [(item["class"], item["label"]) for item in found["predictions"]] == [("female", 0), ("male", 1)]
    assert all(set(item) == {"class", "label", "probability"} for item in found["predictions"])
    assert sum(item["probability"] for item in found["predictions"]) == pytest.approx(1, abs=1e-4)
    winner = max(found["predictions"], key=lambda item: item["probability"])
    assert {name: found[name] for name in winner} == winner


def test_both_paths_are_the_same_operation(client: httpx.Client, face: bytes) -> None:
    first, second = (ask(client, face, path).json()["predictions"] for path in PATHS)
    assert first["class"] == second["class"]
    assert first["probability"] == pytest.approx(second["probability"], abs=1e-3)


def test_meta_says_what_is_true_of_the_model_that_answered(client: httpx.Client, face: bytes) -> None:
    response = ask(client, face)
    meta = response.json()["predictions"]["meta"]
    assert set(meta) == {"description", "language", "library", "main", "programmer"}
    assert SPEC.architecture in meta["description"]
    assert meta["library"] == SPEC.library
    assert meta["language"].startswith("python 3")
    assert meta["main"] == "computer vision (cv)"
    tag = str(bentoml.models.get("face_gender:latest").tag)
    assert meta["programmer"] == f"model {tag}"
    assert response.headers["x-model"] == tag


@pytest.mark.parametrize("name", ["female_1.jpg", "female_2.jpg", "male_1.jpg"])
def test_known_faces(client: httpx.Client, name: str) -> None:
    assert answer(client, (DATA / "faces" / name).read_bytes())["class"] == name.split("_")[0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_formats(client: httpx.Client, kind: str) -> None:
    options = {"quality": 95} if kind in {"JPEG", "WEBP"} else {}
    assert answer(client, saved(picture("male_1.jpg"), kind, **options))["class"] == "male"


def test_first_frame_of_a_gif(client: httpx.Client) -> None:
    first, second = picture("male_1.jpg"), picture("no_face.jpg")
    moving = saved(first, "GIF", save_all=True, append_images=[second.resize(first.size)])
    assert answer(client, moving)["class"] == "male"


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "CMYK", "1"])
def test_modes_are_converted(client: httpx.Client, mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    face = picture("male_1.jpg")
    face = face.resize((2 * face.width, 2 * face.height))  # large enough to be seen through the dots of two colours
    image = face.convert(mode)
    data = saved(image, "JPEG", quality=95) if kind == "TIFF" else saved(image, kind)
    response = ask(client, data)
    assert response.status_code == 200, response.text


def test_exif_orientation_is_applied(client: httpx.Client) -> None:
    """A camera held sideways: the pixels lie, and EXIF says so."""
    upright = picture("female_2.jpg")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    lying = saved(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=97, exif=exif)
    expected = answer(client, saved(upright, "JPEG", quality=97))
    assert answer(client, lying)["probability"] == pytest.approx(expected["probability"], abs=0.1)


@pytest.mark.parametrize(("large", "small"), [("female_1.jpg", "male_1.jpg"), ("male_1.jpg", "female_1.jpg")])
def test_the_largest_face_is_the_one_that_counts(client: httpx.Client, large: str, small: str) -> None:
    first, second = picture(large), picture(small)
    second = second.resize((second.width // 3, second.height // 3))
    canvas = Image.new("RGB", (first.width + second.width + 40, first.height), "grey")
    canvas.paste(second, (10, 10))
    canvas.paste(first, (second.width + 30, 0))
    assert answer(client, saved(canvas, "PNG"))["class"] == large.split("_")[0]


def assert_face_error(response: httpx.Response, status: int, words: str = "") -> None:
    """Bad upload: ``success`` and ``error`` beside the contract's error fields."""
    body = assert_error(response, status, words)
    assert body["success"] is False
    assert body["error"] == body["message"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "image",
    [b"", b"no picture at all", b"\xff\xd8\xff\xe0" + b"\0" * 300, wav(tone(8_000), 8_000), b"<svg/>"],
    ids=["empty", "text", "jpeg-start", "audio", "svg"],
)
def test_bad_upload(client: httpx.Client, path: str, image: bytes) -> None:
    assert_face_error(ask(client, image, path), 400)


@pytest.mark.parametrize("path", PATHS)
def test_missing_file(client: httpx.Client, face: bytes, path: str) -> None:
    assert_face_error(client.post(path, files={"picture": face}), 400, "image")
    assert_face_error(client.post(path), 400, "image")
    assert_face_error(client.post(path, json={"image": "/etc/passwd"}), 415)


def test_cut_off_picture(client: httpx.Client, face: bytes) -> None:
    assert_face_error(ask(client, face[: len(face) // 3]), 400)


def test_no_face(client: httpx.Client) -> None:
    assert_face_error(ask(client, (DATA / "faces" / "no_face.jpg").read_bytes()), 422, "no face")


def test_too_many_pixels(small_client: httpx.Client) -> None:
    """``MAX_IMAGE_MEGAPIXELS`` is 0.5 here; the file itself is small."""
    assert_face_error(ask(small_client, saved(Image.new("RGB", (1000, 501)), "PNG")), 413, "pixels")


def test_too_large_a_file(small_client: httpx.Client) -> None:
    assert_face_error(ask(small_client, b"\0" * (600 << 10)), 413, "0.5 MiB")
