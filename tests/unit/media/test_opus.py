"""Opus in pieces: the same sound as of the whole file, and little memory for whatever is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import BadRequest, PayloadTooLarge
from media.opus import MAX_PACKET, NOT_OPUS, RATE, OpusStream
from tests.support import hostile_audio as hostile
from tests.support.audio_bytes import decoded, encode, film, speech, wav
from tests.support.decoding_child import Cost, child
from tests.support.hostile_audio import element

MOST = 16 << 20  # bytes above the idle process, which hardly keeps a message
VOICE = np.repeat(speech(4.0), 3, axis=0)
HEAD = b"OpusHead\1\1" + bytes(8) + b"\0"
SILENCE = b"\xf8\xff\xfe"  # 20 ms


def streamed(data: bytes, piece: int, max_bytes: int = 1 << 25) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """All samples of a recording that is fed in pieces."""
    stream = OpusStream(max_bytes)
    found = [chunk for start in range(0, len(data), piece) for chunk in stream.feed(data[start : start + piece])]
    return np.concatenate([*found, *stream.finish(), np.zeros(0, np.float32)])


def webm(*packets: bytes, codec: bytes = b"A_OPUS", head: bytes = HEAD, more: bytes = b"") -> bytes:
    """A live WebM: one track, in a segment and a cluster of no stated length."""
    track = element("d7", 1) + element("86", codec) + element("63a2", head)
    blocks = b"".join(element("a3", b"\x81\0\0\x80" + packet) for packet in packets)
    unknown = b"\1" + b"\xff" * 7
    begin = element("1a45dfa3", element("4282", b"webm")) + b"\x18\x53\x80\x67" + unknown
    return begin + element("1654ae6b", element("ae", track)) + b"\x1f\x43\xb6\x75" + unknown + more + blocks


@pytest.mark.parametrize("name", ["webm", "ogg"])
@pytest.mark.parametrize("piece", [1, 77, 4096, 1 << 20])
def test_pieces_give_the_sound_of_the_whole_file(name: str, piece: int) -> None:
    data = encode(name, VOICE, RATE)
    found, whole = streamed(data, piece), decoded(data)
    assert whole.samples_rate == RATE
    assert abs(found.size - whole.samples.size) < 0.05 * RATE
    size = min(found.size, whole.samples.size)
    assert np.abs(found[:size] - whole.samples[:size]).max() < 1e-3


def test_two_channels_of_reversed_polarity_are_not_cancelled() -> None:
    found = streamed(encode("webm", np.concatenate([VOICE, -VOICE], axis=1), RATE), 4096)
    assert found.std() > 0.5 * VOICE.std()


def test_recording_without_stated_lengths_and_chained_links_are_read() -> None:
    assert streamed(webm(*[SILENCE] * 100), 5).size == pytest.approx(2 * RATE, abs=RATE / 10)
    link = encode("ogg", VOICE, RATE)
    assert streamed(link + link, 999).size == pytest.approx(8 * RATE, abs=RATE / 5)


def test_first_answer_needs_no_more_than_its_second() -> None:
    """No part of a demuxer waits for what comes later."""
    data = encode("webm", VOICE, RATE)
    stream = OpusStream(1 << 25)
    found = sum(chunk.size for start in range(0, len(data) // 2, 50) for chunk in stream.feed(data[start : start + 50]))
    assert found > 1.2 * RATE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"RIFF" + bytes(40), NOT_OPUS),
        (b"Og", NOT_OPUS),
        (encode("webm", VOICE, RATE)[:200], "no sound"),
        (wav(VOICE, RATE, "VORBIS", "OGG"), "no sound"),
        (film(sound=False), "no track of Opus"),
        (webm(SILENCE, codec=b"A_AAC"), "no track of Opus"),
        (webm(SILENCE, head=b""), "header"),
        (webm(SILENCE, head=b"OpusHead\1\xff" + bytes(300)), "header"),
        (webm(bytes(MAX_PACKET + 1)), "larger than any"),
        (webm(*[b"\xff"] * 60), "could not be decoded"),
        (webm(*[b""] * 60), "could not be decoded"),
        (webm(more=b"\xec\x80" * 2000), "hardly any sound"),
        (webm(more=element("a3", b"\x81\0\0\x86" + SILENCE)), "several packets"),
        (webm(more=b"\xe7\1" + b"\xff" * 7), "no length"),
        (webm(more=b"\0"), "no element"),
        (webm(more=element("ae", b"") * 40 + element("a3", b"")), "tracks"),
        (hostile.ogg_opus(255, 255), "two channels"),
        (hostile.ogg([(0, HEAD), (0, bytes(MAX_PACKET + 300))]), "larger than any"),
        (encode("ogg", VOICE, RATE)[:-50] + bytes(1 << 16), "no Ogg page"),
        (b"".join(hostile.ogg([(0, HEAD[:-1] + b"\0" + bytes([n % 7])), (0, SILENCE)]) for n in range(300)), "anew"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_opus_or_made_to_hurt_is_refused_in_words(data: bytes, words: str) -> None:
    for piece in (7, 1 << 20):
        with pytest.raises(BadRequest, match=words):
            streamed(data, piece)


def test_more_bytes_than_allowed_are_refused_though_they_are_skipped() -> None:
    skipped = webm(more=b"\xec\1" + (1 << 40).to_bytes(7) + bytes(1 << 20))
    with pytest.raises(PayloadTooLarge):
        streamed(skipped, 4096, 1 << 20)


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[bytes], Cost]]:
    with child("opus") as asked:
        for name in ("ogg", "webm"):
            assert asked(encode(name, VOICE, RATE)).status == 200
        yield asked


@pytest.mark.parametrize(
    "data",
    [
        webm(more=b"\xec\1" + (1 << 40).to_bytes(7) + bytes(40 << 20)),
        webm(*[b"\xf8\xff" * 30_000] * 500),
        webm(more=b"".join(element(name, bytes(1 << 16)) for name in ("86", "63a2", "6d80", "d7") for _ in range(100))),
        hostile.ogg([(0, HEAD), (0, b"OpusTags" + bytes(30 << 20))]),
        hostile.ogg([(0, HEAD), *[(0, SILENCE)] * 20_000]),
    ],
    ids=["a large element", "large packets", "large fields", "large tags", "much sound"],
)
def test_large_streams_cost_little(data: bytes, ask: Callable[[bytes], Cost]) -> None:
    cost = ask(data)
    assert cost.status == 200 or 400 <= cost.status < 500
    assert cost.grown < len(data) + MOST  # the whole of it lies in the child; a stream has a message at a time


GOOD = [encode(name, VOICE, RATE) for name in ("ogg", "webm")]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), max_size=12),
    st.integers(1, 5000),
)
def test_damage_of_any_kind_is_refused_in_words_or_passed_over(
    data: bytes, damage: list[tuple[int, bytes]], piece: int
) -> None:
    changed = bytearray(data)
    for place, value in damage:
        changed[place : place + len(value)] = value
    try:
        found = streamed(bytes(changed), piece)
    except (BadRequest, PayloadTooLarge):
        return
    assert found.size < 10 * VOICE.size
