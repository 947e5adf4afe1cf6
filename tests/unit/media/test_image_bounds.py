"""Pictures within bounds: memory, sides, pixels and scans."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import BadRequest, PayloadTooLarge
from media.image import MAX_SIDE, count_scans, decode_image
from tests.support.picture_bytes import RED, corners, encode, png, png_header, zeros
from tests.support.served import DATA, ROOT

FACES = DATA / "faces"


MEASURE = """
import re, sys
from pathlib import Path
from media.image import decode_image

def memory(name):
    return int(re.search(rf"{name}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10

data = sys.stdin.buffer.read()
before = memory("VmRSS")
decode_image(data)
print(memory("VmHWM") - before)
"""
SIDE = 7071  # just below 50 million pixels
WEBP_SIDE = 4082  # just below a third of that


@pytest.mark.parametrize(
    "data",
    [
        lambda: png((SIDE, SIDE, 16, 0), zeros((2 * SIDE + 1) * SIDE + (1 << 20))),
        lambda: png((SIDE, SIDE, 8, 3), zeros((SIDE + 1) * SIDE + (1 << 20)), (b"PLTE", bytes(3)), (b"tRNS", b"\0")),
        lambda: png((SIDE, SIDE, 8, 6), zeros((4 * SIDE + 1) * SIDE + (1 << 20))),
        lambda: encode(Image.new("RGB", (WEBP_SIDE, WEBP_SIDE), RED), "WEBP", lossless=True),
    ],
    ids=["16 bits", "palette with transparency", "with alpha", "WebP"],
)
def test_a_large_picture_is_not_copied_in_full_size(data: Callable[[], bytes]) -> None:
    """A file of some kilobytes; a caller can have it decoded several times at once."""
    run = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, input=data(), capture_output=True, check=True)
    assert int(run.stdout) < 330  # MiB


def test_too_many_pixels_are_refused_with_the_numbers() -> None:
    with pytest.raises(PayloadTooLarge, match=r"48 x 32 pixels.*1535"):
        decode_image(encode(corners(), "PNG"), max_pixels=48 * 32 - 1)
    assert decode_image(encode(corners(), "PNG"), max_pixels=48 * 32).shape == (32, 48, 3)


def test_the_pixels_of_a_webp_count_three_times() -> None:
    data = encode(Image.new("RGB", (WEBP_SIDE, WEBP_SIDE + 2), RED), "WEBP", lossless=True)
    with pytest.raises(PayloadTooLarge, match=r"4082 x 4084 pixels.*WEBP.*limit of 266666666"):
        decode_image(data)


@pytest.mark.parametrize("size", [(50_000_000, 1), (1, 50_000_000), (65_536, 2)])
def test_a_side_longer_than_any_camera_makes_is_refused(size: tuple[int, int]) -> None:
    """Its rows alone took 476 MB."""
    with pytest.raises(PayloadTooLarge, match="no side"):
        decode_image(png((*size, 8, 2), zeros(1 << 20)))
    assert decode_image(encode(Image.new("L", (65_535, 1)), "PNG")).shape == (1, MAX_SIDE, 3)


@pytest.mark.parametrize(
    ("mode", "sampling", "limit"), [("CMYK", 0, 1.7), ("RGB", 0, 1.32), ("RGB", 1, 1.0), ("RGB", 2, 1.0), ("L", 0, 1.0)]
)
def test_a_progressive_jpeg_counts_its_coefficients(mode: str, sampling: int, limit: float) -> None:
    """Two bytes for each value of each channel are kept until its last scan: 381 MB of a legal picture of CMYK."""
    data = encode(Image.new(mode, (4096, 4096)), "JPEG", progressive=True, subsampling=sampling)
    assert decode_image(data, max_pixels=int(4096 * 4096 * limit)).shape == (2048, 2048, 3)
    if limit > 1:
        with pytest.raises(PayloadTooLarge, match="JPEG in this form takes"):
            decode_image(data, max_pixels=4096 * 4096)
        baseline = encode(Image.new(mode, (4096, 4096)), "JPEG", subsampling=sampling)
        assert decode_image(baseline, max_pixels=4096 * 4096).shape == (2048, 2048, 3)


@pytest.mark.parametrize("side", [20_000, 200_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises((PayloadTooLarge, BadRequest)):
        decode_image(png_header(side, side))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encode(corners(), "JPEG", progressive=True)
    place = data.rindex(b"\xff\xda")
    bomb = data[:place] + data[place:-2] * 500 + data[-2:]
    with pytest.raises(BadRequest, match="scans"):
        decode_image(bomb)


def test_what_follows_the_picture_is_none_of_its_scans() -> None:
    """A motion photo: a film after the picture, which has every pair of bytes somewhere."""
    plain = encode(corners(), "JPEG", quality=95, progressive=True)
    pixels = decode_image(plain + b"\x00\x00\x00\x18ftypmp42" + b"\xff\xda\x00\x0c\x03" * 1000)
    np.testing.assert_array_equal(pixels, decode_image(plain))


def test_what_is_embedded_in_the_picture_is_none_of_its_scans() -> None:
    """Such as the thumbnail of a camera."""
    plain = encode(corners(), "JPEG", quality=95)
    notes = b"\xff\xe5" + struct.pack(">H", 2 + 4 * 1000) + b"\xff\xda\xff\xd9" * 1000
    np.testing.assert_array_equal(decode_image(plain[:2] + notes + plain[2:]), decode_image(plain))


@pytest.mark.parametrize("filler", [b"", b"\xff\xff\xff", b"\xff\xd3", b"\x00\x01"], ids=bytes.hex)
def test_scans_are_counted_as_the_decoder_finds_them(filler: bytes) -> None:
    data = encode(corners(), "JPEG", progressive=True)
    place = data.rindex(b"\xff\xda")
    bomb = data[:place] + (filler + data[place:-2]) * 500 + data[-2:]
    own = data.count(b"\xff\xda")
    assert [count_scans(bomb, own + number) - own for number in (498, 499, 600)] == [499, 499, 499]
    with pytest.raises(BadRequest, match="scans"):
        decode_image(bomb)


@given(st.binary(max_size=200))
def test_scans_of_anything_can_be_counted(data: bytes) -> None:
    scans = data.count(b"\xff\xda")
    assert count_scans(b"\xff\xd8" + data, scans) <= scans


def test_segments_without_end_are_not_followed() -> None:
    plain = encode(corners(), "JPEG")
    with pytest.raises(BadRequest, match="small parts"):
        decode_image(plain[:2] + b"\xff\xe5\x00\x02" * 20_000 + plain[2:])
    assert decode_image(plain[:2] + b"\xff\xe5\x00\x02" * 2_000 + plain[2:]).shape == (32, 48, 3)


def test_exif_data_of_very_many_segments_is_not_put_together() -> None:
    """32 MB of them held a thread for minutes, by copies of what was there already."""
    plain = encode(corners(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 298) + b"Exif\0\0" + bytes(290)
    with pytest.raises(BadRequest, match="small parts"):
        decode_image(plain[:2] + segment * 100 + plain[2:])
    assert decode_image(plain[:2] + segment * 20 + plain[2:]).shape == (32, 48, 3)


def test_nothing_is_printed_of_wrong_exif_data() -> None:
    """Each tag that states more than there is was a line on standard error, which holds JSON lines otherwise."""
    tags = b"".join(struct.pack("<HHII", 0x8000 + number, 1, 1 << 20, 8) for number in range(1000))
    data = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1000) + tags + bytes(4)
    plain = encode(corners(), "JPEG")
    picture = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + plain[2:]
    run = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, input=picture, capture_output=True, check=True)
    assert run.stderr == b""


@pytest.mark.parametrize("place", [33, -12], ids=["before the pixels", "after them"])  # after IHDR; before IEND
def test_chunks_without_end_are_not_kept(place: int) -> None:
    plain = encode(corners(), "PNG")
    chunk = struct.pack(">I4sI", 0, b"abCd", zlib.crc32(b"abCd"))
    with pytest.raises(BadRequest, match="small parts"):
        decode_image(plain[:place] + chunk * 30_000 + plain[place:])
    assert decode_image(plain[:place] + chunk * 2_000 + plain[place:]).shape == (32, 48, 3)


def test_a_picture_in_small_chunks_is_read() -> None:
    rows = (b"\0" + np.random.default_rng(row).bytes(3 * 1500) for row in range(1000))
    pixels = zlib.compress(b"".join(rows), 0)
    parts = [pixels[start : start + 256] for start in range(0, len(pixels), 256)]
    assert len(parts) > 17_000
    chunks = [(b"IDAT", part) for part in parts[:-1]]
    assert decode_image(png((1500, 1000, 8, 2), parts[-1], *chunks)).shape == (1000, 1500, 3)


@pytest.mark.parametrize(("height", "is_read"), [(100, True), (2500, False)])
def test_a_picture_in_runs_of_a_byte_is_read_if_it_is_no_large_one(height: int, is_read: bool) -> None:
    """Six of 32 MB held all decoding threads for 39 s."""
    width = 1000
    info = struct.pack("<IiiHHIIIIII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    runs = (b"\1\5" * width + b"\0\0") * height + b"\0\1"
    head = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024)
    if is_read:
        assert decode_image(head + info + bytes(1024) + runs).shape == (height, width, 3)
    else:
        with pytest.raises(BadRequest, match="small parts"):
            decode_image(head + info + bytes(1024) + runs)
