"""Base64 in a JSON body: prefixes, white space, strictness, and the bound."""

from __future__ import annotations

import base64
import contextlib
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadRequest, PayloadTooLarge
from media.encodings import PIECE, decode_base64_audio

LIMIT = 10_000


@given(
    st.binary(min_size=1, max_size=500),
    st.sampled_from(
        [
            "",
            "data:audio/mpeg;base64,",
            "data:;base64,",
            "DATA:audio/webm;codecs=opus;BASE64,",
            " data:audio/wav;base64, ",
            "data:video/webm;codecs=vp8,opus;base64,",
            'data:video/webm;codecs="vp8, opus";base64,',
            "data:audio/mp4;codecs=mp4a.40.2,a,b;charset=x ; base64 ,",
        ]
    ),
)
def test_round_trip(data: bytes, prefix: str) -> None:
    text = base64.b64encode(data).decode()
    assert decode_base64_audio(prefix + text, LIMIT) == data
    assert decode_base64_audio(prefix + text.rstrip("="), LIMIT) == data
    wrapped = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    assert decode_base64_audio(f"{prefix}{wrapped}\n", LIMIT) == data
    assert decode_base64_audio(prefix + base64.urlsafe_b64encode(data).decode(), LIMIT) == data


@pytest.mark.parametrize("text", ["", "   ", "====", "data:audio/mp3;base64,"])
def test_empty(text: str) -> None:
    with pytest.raises(BadRequest, match="empty"):
        decode_base64_audio(text, LIMIT)


@pytest.mark.parametrize(
    "text", ["not base64!", "AAAA*AAA", "A", "AAAAA", "AA=A", "AÄAA", "AA\x00A", "http://host/a.mp3"]
)
def test_not_base64(text: str) -> None:
    with pytest.raises(BadRequest, match="not valid base64"):
        decode_base64_audio(text, LIMIT)


@pytest.mark.parametrize("text", ["data:audio/mp3,%00%01", "data:,abc", "data:video/webm;codecs=vp8,opus,QUJD"])
def test_data_uri_of_another_encoding(text: str) -> None:
    with pytest.raises(BadRequest, match=";base64"):
        decode_base64_audio(text, LIMIT)


def test_a_prefix_without_end_takes_no_time() -> None:
    with pytest.raises(BadRequest):
        decode_base64_audio("data:" + ";base64" * 1000, LIMIT)


@pytest.mark.parametrize("break_at", [1, 3, PIECE - 1, PIECE, PIECE + 5])
def test_pieces_are_joined(break_at: int) -> None:
    data = random.Random(0).randbytes(2 * PIECE)
    text = base64.b64encode(data).decode()
    assert decode_base64_audio(f"{text[:break_at]}\n{text[break_at:]}", len(data)) == data


@pytest.mark.parametrize("padding", ["=", "==", "===", "===="])
def test_padding_at_the_end_of_a_piece_is_no_base64(padding: str) -> None:
    with pytest.raises(BadRequest, match="not valid base64"):
        decode_base64_audio("A" * (PIECE - len(padding)) + padding + "AAAA", 2 * PIECE)


def test_no_function_is_given_more_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one works on it, no other thread runs."""
    sizes: list[int] = []

    def noting(data: bytes, **options: bool) -> bytes:
        sizes.append(len(data))
        return b""

    monkeypatch.setattr(base64, "b64decode", noting)
    decode_base64_audio("A" * (3 * PIECE + 2), 4 * PIECE)
    assert sizes == [PIECE] * 3 + [4]


@pytest.mark.parametrize("text", [" " * (16 << 20), "é" * (16 << 20), "A" + "\n" * (16 << 20)])
def test_what_is_no_base64_takes_no_longer_than_what_is(text: str) -> None:
    """While it is looked through no other thread runs, and with it no other request."""

    def work_s(one: str) -> float:
        began = time.thread_time()
        with contextlib.suppress(BadRequest):
            decode_base64_audio(one, len(one))
        return time.thread_time() - began

    assert work_s(text) < 5 * work_s("QUJD" * (4 << 20))


@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_bound_is_that_of_the_bytes(size: int, fits: bool) -> None:
    text = base64.b64encode(bytes(size)).decode()
    if fits:
        assert len(decode_base64_audio(text, 100)) == size
    else:
        with pytest.raises(PayloadTooLarge):
            decode_base64_audio(text, 100)


def test_bound_comes_before_the_alphabet() -> None:
    with pytest.raises(PayloadTooLarge):
        decode_base64_audio("!" * 1000, 100)
