"""Files told by their first bytes: beside raw PCM, and for words about what is not read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import BadRequest
from media.audio import AudioLimits, decode
from media.containers import declared_container
from media.image import decode_image
from media.signatures import is_text, not_picture, not_sound, recognise
from tests.support.audio_bytes import ENCODERS, encode, mux, tone, wav


def avi() -> bytes:
    return mux("avi", "pcm_s16le", tone(8_000), 8_000)


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, kind)
    return out.getvalue()


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_every_container_is_recognised(name: str, rate: int) -> None:
    rate = 48_000 if name in {"ogg", "webm"} and rate == 44_100 else rate
    assert recognise(encode(name, tone(rate, 2.0), rate)) == name


@pytest.mark.parametrize(("encoder", "muxer"), [("libmp3lame", "mp3"), ("mp2", "mp2"), ("aac", "adts")])
@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_streams_of_frames_are_recognised_without_a_tag(encoder: str, muxer: str, rate: int) -> None:
    options = {"write_xing": "0", "id3v2_version": "0"} if muxer == "mp3" else {}
    stream = mux(muxer, encoder, tone(rate, 1.0), rate, options)
    assert stream[0] == 0xFF
    assert recognise(stream) == ("aac" if muxer == "adts" else "mp3")
    assert recognise(stream[:5]) == "unknown"  # one frame proves nothing


@given(st.integers(-300, -1), st.lists(st.integers(-300, 300), min_size=20, max_size=400))
def test_quiet_pcm_is_no_stream_of_frames(first: int, rest: list[int]) -> None:
    """Its small negative samples begin as MPEG frames do."""
    assert recognise(np.array([first, *rest], "<i2").tobytes()) == "unknown"


@given(st.binary(max_size=2000))
def test_bytes_behind_a_sync_word_are_no_stream_of_frames(rest: bytes) -> None:
    assert recognise(b"\xff\xfb" + rest + b"\0") == "unknown"


@pytest.mark.parametrize(
    ("data", "words"),
    [(avi(), "AVI"), (picture("WEBP"), "WebP"), (HEIC, "HEIC"), (picture("TIFF"), "TIFF"), (picture("JPEG"), "JPEG"),
     (picture("PNG"), "PNG"), (b"PK\x03\x04" + bytes(99), "ZIP"), (b"\x1f\x8b\x08" + bytes(99), "gzip"),
     (b"%PDF-1.7 " + bytes(99), "PDF"), (b"\n<!DOCTYPE html><html>", "HTML"), (b"<HTML><body>", "HTML")],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_not_sound_is_named(data: bytes, words: str) -> None:
    assert words in str(not_sound(data))
    with pytest.raises(BadRequest, match=f"not audio.*{words}"):
        decode(data, limits=AudioLimits())


@pytest.mark.parametrize(
    ("data", "words"),
    [(avi(), "AVI"), (HEIC, "HEIC"), (picture("TIFF"), "TIFF"), (wav(tone(8_000), 8_000), "wav"),
     (encode("m4a", tone(16_000), 16_000), "m4a")],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=f"known kind.*{words}"):
        decode_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_damaged_picture_is_not_called_another_kind(kind: str) -> None:
    assert not_picture(picture(kind)) is None


@pytest.mark.parametrize("name", ENCODERS)
def test_sound_is_not_called_anything_else(name: str) -> None:
    assert not_sound(encode(name, tone(16_000), 16_000)) is None


@pytest.mark.parametrize(
    ("name", "container"),
    [("audio/wav", "wav"), ("audio/x-wav", "wav"), ("audio/vnd.wave", "wav"), ("audio/wave", "wav"),
     ("audio/mpeg", "mp3"), ("audio/mp3", "mp3"), ("audio/flac", "flac"), ("audio/x-flac", "flac"),
     ("audio/ogg", "ogg"), ("application/ogg", "ogg"), ("audio/opus", "ogg"), ("audio/webm", "webm"),
     ("video/webm", "webm"), ("audio/mp4", "m4a"), ("audio/x-m4a", "m4a"), ("video/mp4", "m4a"),
     ("video/quicktime", "m4a"), ("audio/aac", "aac"), ("audio/x-aiff", "aiff"), ("audio/x-pn-wav", "wav"),
     ("application/octet-stream", "unknown"), ("application/x-www-form-urlencoded", "unknown"), ("", "unknown"),
     ("audio/pcm", "unknown"), ("audio/l16", "unknown"), ("text/plain", "unknown"), ("audio/", "unknown")],
)  # fmt: skip
def test_content_types(name: str, container: str) -> None:
    assert declared_container(name) == container


def test_text_is_told_from_samples() -> None:
    assert is_text(b'{"audio": "UklGRg=="}')
    assert is_text(b"UklGRgAB" * 1000)
    assert is_text(b"a" * 1024 + b"\0")
    assert not is_text(b"")
    assert not is_text(bytes(2000))
    assert not is_text(np.arange(-500, 500).astype("<i2").tobytes())


def test_blanks_are_not_followed_without_end() -> None:
    """Uploaded heart sounds are looked at in the event loop, which 32 MB of blanks held up for 0.1 s."""
    assert not_sound(b" " * 1000 + b"<html>") == "an HTML page"
    assert not_sound(b" " * 2000 + b"<html>") is None
