"""What a header says that decoding will take: never less than it takes, and not many times as much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import BadRequest, PayloadTooLarge
from media.cost import FIXED_BYTES, SOUND_BYTES, picture_bytes, recording_bytes
from tests.support.audio_bytes import encode, tone, wav
from tests.support.decoding_child import Cost, child
from tests.support.picture_bytes import encode as save
from tests.support.picture_bytes import png_header

SECONDS = 60


@pytest.fixture(scope="module")
def ask_picture() -> Iterator[Callable[[bytes], Cost]]:
    with child("image") as asked:
        for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
            assert asked(save(Image.new("RGB", (64, 64)), kind)).status == 200
        yield asked


@pytest.fixture(scope="module")
def ask_recording() -> Iterator[Callable[[bytes], Cost]]:
    with child("audio") as asked:
        for name in ("wav", "mp3", "ogg"):
            assert asked(encode(name, tone(48_000, 1.0), 48_000)).status == 200
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


@pytest.mark.parametrize("name", ["wav", "mp3", "flac", "ogg", "webm", "m4a", "aac"])
def test_a_recording_takes_no_more_than_its_header_says(name: str, ask_recording: Callable[[bytes], Cost]) -> None:
    data = encode(name, tone(48_000, float(SECONDS), 2), 48_000)
    cost = ask_recording(data)
    assert cost.status == 200
    assert cost.grown <= recording_bytes(data, 16_000, SECONDS) + len(data)


def test_the_length_of_a_wav_is_that_of_its_bytes() -> None:
    data = wav(np.zeros((48_000, 2)), 48_000)
    assert recording_bytes(data, 16_000, 600) == pytest.approx(SOUND_BYTES + 16_000 * 8, rel=1e-3)
    assert recording_bytes(data, 16_000, 0.5) == SOUND_BYTES + 8_000 * 8
    assert recording_bytes(b"RIFF", 16_000, 600) == SOUND_BYTES + 600 * 16_000 * 8


def test_few_bytes_are_a_short_recording_where_the_format_has_a_least_rate() -> None:
    data = encode("mp3", tone(16_000, 2.0), 16_000)
    assert recording_bytes(data, 16_000, 600) < SOUND_BYTES + 60 * 16_000 * 8
    assert recording_bytes(encode("flac", tone(16_000, 2.0), 16_000), 16_000, 600) == SOUND_BYTES + 600 * 16_000 * 8
