"""Untrusted pictures: every format and mode that is promised, and everything that must be refused."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import BadRequest, PayloadTooLarge
from media.image import MAX_SIDE, decode_image
from tests.support.picture_bytes import BLUE, GREEN, RED, corners, encode, near, png_header
from tests.support.served import DATA

FACES = DATA / "faces"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("BMP", {}),
        ("GIF", {}),
    ],
)
def test_every_format_keeps_colour_order_and_orientation(kind: str, options: dict[str, Any]) -> None:
    pixels = decode_image(encode(corners(), kind, **options))
    assert pixels.shape == (32, 48, 3)
    assert pixels.dtype == np.uint8
    assert near(pixels[4, 4], RED, 30)
    assert near(pixels[4, 44], GREEN, 30)
    assert near(pixels[28, 24], BLUE, 30)


def test_a_portrait_has_the_known_colours() -> None:
    pixels = decode_image((FACES / "female_1.jpg").read_bytes())
    assert pixels.shape == (480, 480, 3)
    red, _, blue = pixels[120:160, 190:240].reshape(-1, 3).mean(axis=0)
    assert red > blue + 20, "skin is redder than blue: the channels are in the order red, green, blue"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # what is stored turned left is shown turned right
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = corners().transpose(undo[orientation]) if orientation in undo else corners()
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode_image(encode(stored, "JPEG", quality=95, subsampling=0, exif=exif))
    np.testing.assert_allclose(pixels.astype(int), np.asarray(corners()).astype(int), atol=60)
    assert near(pixels[4, 4], RED, 30)
    assert near(pixels[4, 44], GREEN, 30)


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    assert decode_image(encode(corners(), "JPEG", exif=exif)).shape == (32, 48, 3)


def test_transparent_pixels_become_white() -> None:
    image = corners().convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat([[255] * 24 + [0] * 24], 32, axis=0).astype(np.uint8)))
    pixels = decode_image(encode(image, "PNG"))
    assert near(pixels[4, 4], RED)
    assert near(pixels[4, 44], (255, 255, 255))


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert near(decode_image(encode(image, "PNG"))[4, 4], (127, 127, 127), 2)


def test_a_palette_is_looked_up() -> None:
    pixels = decode_image(encode(corners().quantize(8), "PNG"))
    assert near(pixels[4, 4], RED)
    assert near(pixels[28, 24], BLUE)


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_bmp_whose_transparency_is_left_at_zero_shows_its_colours(alpha: int) -> None:
    """As programs of Windows write it. It became wholly white, in which there is no face."""
    picture = corners()
    picture.putalpha(alpha)
    masks = struct.pack("<IIII4s", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs") + bytes(48)
    info = struct.pack("<IiiHHIIIIII", 108, 48, -32, 1, 32, 3, 0, 0, 0, 0, 0) + masks
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(info)) + info + picture.tobytes("raw", "BGRA")
    np.testing.assert_array_equal(decode_image(data), np.asarray(corners()))


def test_a_palette_with_a_transparent_entry() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(0, (0, 0, 4, 8))
    pixels = decode_image(encode(image, "PNG", transparency=0))
    assert near(pixels[4, 1], (255, 255, 255))
    assert near(pixels[4, 6], (200, 100, 50))


def test_cmyk() -> None:
    pixels = decode_image(encode(corners().convert("CMYK"), "JPEG", quality=95))
    assert near(pixels[4, 4], RED, 40)
    assert near(pixels[28, 24], BLUE, 40)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P"])
def test_grey_modes(mode: str) -> None:
    pixels = decode_image(encode(Image.new("L", (10, 6), 255).convert(mode), "PNG"))
    assert pixels.shape == (6, 10, 3)
    assert pixels.min() == 255


def test_16_bit_greys_keep_their_shades() -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16)
    pixels = decode_image(encode(Image.fromarray(np.tile(levels, (8, 1))), "PNG"))
    np.testing.assert_array_equal(pixels[0, :, 0], levels >> 8)
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert near(decode_image(data)[8, 8], RED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_scaled_down(kind: str) -> None:
    pixels = decode_image(encode(corners().resize((5000, 3000)), kind))
    assert max(pixels.shape[:2]) <= MAX_SIDE
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(5 / 3, rel=0.01)
    assert near(pixels[100, 100], RED, 30)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize("size", [(4099, 2050), (500, 4500), (2048, 2048), (2049, 3)])
def test_what_is_scaled_down_has_no_seams(mode: str, size: tuple[int, int]) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full(size[::-1], 255 << 8, np.uint16))
    else:
        image = Image.new("L", size, 255).convert(mode)
    pixels = decode_image(encode(image, "PNG"))
    assert max(pixels.shape[:2]) <= MAX_SIDE
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(size[0] / size[1], rel=0.01)
    assert (pixels == 255).all()


def test_a_single_pixel() -> None:
    assert decode_image(encode(Image.new("RGB", (1, 1), RED), "PNG")).tolist() == [[list(RED)]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_a_cut_off_file_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encode(noise, kind)
    with pytest.raises(BadRequest):
        decode_image(data[: len(data) // 2])


def test_a_size_that_the_data_does_not_fill() -> None:
    with pytest.raises(BadRequest, match="damaged"):
        decode_image(png_header(300, 300))


@pytest.mark.parametrize("kind", ["TIFF", "PPM", "ICO", "TGA", "PCX", "PDF", "EPS", "JPEG2000", "DDS", "SGI"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(BadRequest, match="known kind"):
        decode_image(encode(corners(), kind))


@pytest.mark.parametrize(
    "data",
    [
        b"not a picture at all",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"BM",
        b"\x00" * 100,
        (b"RIFF$\x00\x00\x00WAVEfmt " + b"\x00" * 60),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="known kind"):
        decode_image(data)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(BadRequest, match="empty"):
        decode_image(b"")


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
    keep=st.floats(0.2, 1),
)
def test_damaged_files_are_decoded_or_refused_but_never_crash(
    kind: str, edits: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(encode(corners(), kind))
    for place, value in edits:
        data[int(place * len(data))] = value
    try:
        pixels = decode_image(bytes(data[: int(keep * len(data))]), max_pixels=10_000_000)
    except (BadRequest, PayloadTooLarge):
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


@pytest.mark.parametrize(("missing", "progressive"), [(2, False), (2, True), (40, False)])
def test_a_jpeg_that_was_cut_off_shows_the_rows_that_are_there(missing: int, progressive: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, progressive=progressive)
    whole, cut = decode_image(file.getvalue()), decode_image(file.getvalue()[:-missing])
    assert cut.shape == whole.shape
    if not progressive:
        np.testing.assert_array_equal(cut[:64], whole[:64])


def test_a_jpeg_with_a_second_picture_that_was_cut_off_in_the_first_shows_its_rows() -> None:
    """As phones write them, with what a bright screen shows beyond white; Pillow calls the format MPO."""
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    file, second = io.BytesIO(), Image.new("L", (8, 8))
    Image.fromarray(pixels).save(file, "MPO", save_all=True, append_images=[second], quality=90)
    whole = decode_image(file.getvalue())
    end = file.getvalue().index(b"\xff\xd9\xff\xd8")
    np.testing.assert_array_equal(decode_image(file.getvalue()[: end - 40])[:64], whole[:64])


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_greys_of_a_sensor_in_a_file_of_16_bits_are_stretched_to_its_range(bits: int) -> None:
    levels = np.linspace(0, (1 << bits) - 1, 64).astype(np.uint16)[None].repeat(8, 0)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    grey = decode_image(file.getvalue())[0, :, 0].astype(int)
    assert grey[0] == 0
    assert grey[-1] == 255
    assert (np.diff(grey) >= 0).all()
