"""What a header says that decoding will take: never less than it takes, and not many times as much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import BadRequest, PayloadTooLarge
from media.cost import FIXED_BYTES, picture_bytes, stated_seconds
from tests.support.audio_bytes import encode, tone, wav
from tests.support.decoding_child import Cost, child
from tests.support.picture_bytes import encode as save
from tests.support.picture_bytes import png_header

SECONDS = 6


@pytest.fixture(scope="module")
def ask_picture() -> Iterator[Callable[[bytes], Cost]]:
    with child("image") as asked:
        for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
            assert asked(save(Image.new("RGB", (64, 64)), kind)).status == 200
        yield asked


@pytest.mark.parametrize(
    ("kind", "mode", "size", "options"),
    [
        ("JPEG", "RGB", (4000, 3000), {}),
        ("JPEG", "RGB", (4000, 3000), {"progressive": True, "subsampling": 0}),
        ("JPEG", "CMYK", (4000, 3000), {"progressive": True}),
        ("JPEG", "L", (6000, 5000), {"progressive": True}),
        ("PNG", "RGB", (4000, 3000), {}),
        ("PNG", "RGBA", (5000, 3000), {}),
        ("PNG", "LA", (3000, 3000), {}),
        ("PNG", "RGB", (65_000, 100), {}),
        ("PNG", "P", (5000, 5000), {}),
        ("BMP", "RGB", (3000, 3000), {}),
        ("GIF", "P", (5000, 4000), {}),
        ("WEBP", "RGB", (3000, 3000), {}),
        ("WEBP", "RGBA", (3000, 2500), {"lossless": True}),
    ],
)
def test_a_picture_takes_no_more_than_its_header_says(
    kind: str, mode: str, size: tuple[int, int], options: dict[str, Any], ask_picture: Callable[[bytes], Cost]
) -> None:
    data = save(Image.new(mode, size), kind, **options)
    said, cost = picture_bytes(data), ask_picture(data)
    assert cost.status == 200
    assert cost.grown <= said + len(data)
    assert said <= 2 * cost.grown + FIXED_BYTES


def test_what_will_be_refused_has_no_cost() -> None:
    with pytest.raises(PayloadTooLarge):
        picture_bytes(png_header(20_000, 20_000))
    with pytest.raises(BadRequest):
        picture_bytes(b"no picture")


@pytest.mark.parametrize("name", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_header_states_the_length(name: str, rate: int) -> None:
    data = encode(name, tone(rate, float(SECONDS), 2), rate)
    assert stated_seconds(data) == pytest.approx(SECONDS, rel=0.01)


@pytest.mark.parametrize("name", ["mp3", "webm", "m4a", "aac"])
def test_where_only_a_decoder_reads_the_length_none_is_stated(name: str) -> None:
    assert stated_seconds(encode(name, tone(16_000, 2.0), 16_000)) == 0


@given(
    head=st.sampled_from([b"fLaC", b"OggS", b"RIFF", b"OggS" + bytes(24) + b"OpusHead"]), rest=st.binary(max_size=99)
)
def test_any_header_states_something(head: bytes, rest: bytes) -> None:
    assert stated_seconds(head + rest) >= 0
    assert stated_seconds((head + rest)[: len(head)]) == 0


def test_a_wav_is_no_longer_than_its_bytes() -> None:
    data = wav(np.zeros((48_000, 2)), 48_000)
    claiming = data[:40] + (1 << 31).to_bytes(4, "little") + data[44:]
    assert stated_seconds(claiming) == pytest.approx(1.0, rel=1e-2)
    assert stated_seconds(b"RIFF") == 0
