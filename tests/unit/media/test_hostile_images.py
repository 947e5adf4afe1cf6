"""Pictures whose headers lie: whatever they state, decoding takes a bounded amount of memory and ends in words."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.decoding_child import Cost, child
from tests.support.picture_bytes import encode, png, zeros

MOST = 340 << 20  # bytes above the idle process: what a legal picture may take, see `media.cost`
ZEROS = zeros(8 << 20)
PICTURE = Image.new("RGB", (64, 48), (9, 9, 9))
JPEGS = [
    encode(picture, "JPEG", progressive=progressive)
    for picture in (PICTURE, PICTURE.convert("L"), PICTURE.convert("CMYK"))
    for progressive in (False, True)
]
WEBP = encode(PICTURE, "WEBP", lossless=True)

SIDES = st.sampled_from([0, 1, 2, 2047, 2049, 4095, 7071, 16_383, 65_535, 65_536, 50_000_000, (1 << 31) - 1])
SHORT_SIDES = SIDES.filter(lambda side: side < 1 << 16)


def jpeg(plain: bytes, width: int, height: int) -> bytes:
    """A JPEG that states another size in its frame header."""
    place = max(plain.find(b"\xff\xc0"), plain.find(b"\xff\xc2")) + 5
    return plain[:place] + struct.pack(">HH", height, width) + plain[place + 4 :]


def gif(width: int, height: int, left: int, top: int, inner_width: int, inner_height: int) -> bytes:
    """A GIF that states a size, and another of its frame."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", left, top, inner_width, inner_height, 0) + b"\2\2\x4c\1\0;"


def bmp(width: int, height: int, bits: int, compression: int, colours: int) -> bytes:
    """A BMP of any size, in runs where the compression says so."""
    info = struct.pack("<IiiHHIIIIII", 40, width, height, 1, bits, compression, 0, 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + info + bytes(1024) + b"\xff\0" * 2000


def webp(width: int, height: int) -> bytes:
    """A WebP whose canvas states a size."""
    canvas = b"VP8X" + struct.pack("<II", 10, 0) + (width - 1 & 0xFFFFFF).to_bytes(3, "little")
    body = b"WEBP" + canvas + (height - 1 & 0xFFFFFF).to_bytes(3, "little") + WEBP[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


FILES = st.one_of(
    st.builds(
        lambda width, height, bits, colour: png((width, height, bits, colour), ZEROS),
        SIDES,
        SIDES,
        st.sampled_from([1, 8, 16, 255]),
        st.integers(0, 7),
    ),
    st.builds(jpeg, st.sampled_from(JPEGS), SHORT_SIDES, SHORT_SIDES),
    st.builds(gif, *[SHORT_SIDES] * 6),
    st.builds(bmp, SIDES, SIDES | st.just(-7071), st.sampled_from([1, 4, 8, 16, 24, 32]), st.integers(0, 4), SIDES),
    st.builds(webp, SIDES, SIDES),
)


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[bytes], Cost]]:
    with child("image") as asked:
        for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
            assert asked(encode(PICTURE, kind)).status == 200
        yield asked


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=FILES)
def test_headers_of_any_numbers_take_bounded_memory(data: bytes, ask: Callable[[bytes], Cost]) -> None:
    cost = ask(data)
    assert cost.status == 200 or 400 <= cost.status < 500
    assert cost.grown < MOST


@pytest.mark.parametrize("size", [(50_000_000, 1), (1, 50_000_000)])
def test_a_picture_of_one_row_or_column(size: tuple[int, int], ask: Callable[[bytes], Cost]) -> None:
    cost = ask(png((*size, 8, 2), ZEROS))
    assert cost.status == 413
    assert cost.grown < 64 << 20
