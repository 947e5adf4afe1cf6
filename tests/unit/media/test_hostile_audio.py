"""Recordings made to hurt: whatever their headers state, they cost little memory and are refused in words.

Most of ``CORPUS`` took 200 MB to 17 GB, or ten seconds and more, before anything was refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import hostile_audio as hostile
from tests.support.audio_bytes import encode, tone
from tests.support.decoding_child import Cost, child
from tests.support.hostile_audio import FlacBlock

MOST = 300 << 20  # bytes above the idle process
MP3 = encode("mp3", tone(16_000), 16_000)
ZEROS = zlib.compress(bytes(8 << 20), 9)

CORPUS: dict[str, bytes] = {
    "ogg flac whose rate falls to 1 Hz": hostile.ogg_flac(65_535, 1, [FlacBlock(65_535, 65_535), FlacBlock(65_535, 1)]),
    "ogg flac whose rate falls to 9 Hz": hostile.ogg_flac(16_000, 1, [FlacBlock(4_096, 16_000), FlacBlock(65_535, 9)]),
    "ogg flac whose rate falls within the range": hostile.ogg_flac(
        655_350, 1, [FlacBlock(4_096, 655_350), FlacBlock(65_535, 110)]
    ),
    "ogg flac whose channels change": hostile.ogg_flac(
        16_000, 1, [FlacBlock(4_096, 16_000), *[FlacBlock(65_535, 16_000, 8)] * 30]
    ),
    "flac whose rate falls": hostile.flac(65_535, 1, 0, [FlacBlock(65_535, 65_535), FlacBlock(65_535, 1)]),
    "webm of 256 packets, each of 8 MB when unpacked": hostile.matroska(768_000, 1, [ZEROS] * 256, 0),
    "m4a of 32 tracks with an endless index each": hostile.mp4(32, 1_300_000),
    "m4a of 32 tracks with an endless run each": hostile.mp4(32, 0, run=690_000),
    "m4a of 8 tracks with an endless run each": hostile.mp4(8, 0, run=690_000),
    "m4a of ALAC in frames of eight million samples": hostile.mp4(1, 3, entry=hostile.alac(8_000_000, 2, 44_100)),
    "vorbis of 256 large codebooks": hostile.ogg_vorbis(16_000, 1, 256, 14, 16),
    "opus of 255 channels": hostile.ogg_opus(255, 255),
    "aac of 750,000 frames of 7 bytes": hostile.adts(4, 2, 7) * 750_000,
    "webm of a sample in each packet": hostile.matroska(48_000, 1, [b"\0"] * 256, blocks=50),
    "ogg of five million first pages": b"OggS\0\2" * 5_000_000,
    "webm of one packet of 30 MB": hostile.matroska(768_000, 1, [bytes(30 << 20)]),
}
TAGGED = {
    "pictures": hostile.id3(60, 15 << 20) + MP3,
    "texts": hostile.id3(60, 30 << 20, b"TXXX") + MP3,
    "behind an ADTS frame": hostile.adts(4, 2, 7) + hostile.id3(60, 15 << 20) + MP3,
}


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[bytes], Cost]]:
    with child("audio") as asked:
        for name in ("wav", "mp3", "ogg", "webm", "m4a"):
            assert asked(encode(name, tone(48_000, 1.0, 2), 48_000)).status == 200
        yield asked


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_costs_little_and_is_refused(name: str, ask: Callable[[bytes], Cost]) -> None:
    cost = ask(CORPUS[name])
    assert 400 <= cost.status < 500
    assert cost.grown < MOST


@pytest.mark.parametrize("name", TAGGED)
def test_a_tag_that_unpacks_to_gigabytes_is_not_unpacked(name: str, ask: Callable[[bytes], Cost]) -> None:
    cost = ask(TAGGED[name])
    assert cost.status in {200, 400}
    assert cost.grown < MOST / 2


@pytest.mark.parametrize("rate", [110, 65_535])
def test_the_longest_recording_of_some_bytes(rate: int, ask: Callable[[bytes], Cost]) -> None:
    blocks = [FlacBlock(65_535, rate)] * min(100, 600 * rate // 65_535)
    for data in (hostile.ogg_flac(rate, 1, blocks), hostile.flac(rate, 1, 0, blocks)):
        cost = ask(data)
        assert cost.status in {200, 413}
        assert cost.grown < MOST / 2


HOSTILE_NUMBERS = [0, 1, 2, 8, 255, 256, 1 << 15, (1 << 16) - 1, 1 << 16, (1 << 24) - 1, (1 << 31) - 1, (1 << 32) - 1]


def number(bits: int) -> st.SearchStrategy[int]:
    """Any number of so many bits, mostly those at which programs break."""
    most = (1 << bits) - 1
    return st.sampled_from([n for n in HOSTILE_NUMBERS if n <= most]) | st.integers(0, most)


RATES = st.sampled_from([1, 9, 99, 100, 110, 16_000, 65_535, 655_350])
BLOCKS = st.lists(st.builds(FlacBlock, st.integers(1, 65_536), RATES, st.integers(1, 8)), max_size=12)
DOUBLES = st.sampled_from([0.0, 1e-300, 100.0, 48_000.0, 7.68e5, 1e300, float("inf"), float("nan"), -1.0])
PACKETS = st.lists(st.sampled_from([b"", bytes(1), bytes(4096), ZEROS]), min_size=1, max_size=256)
U16, U32 = number(16), number(32)

FILES = st.one_of(
    st.builds(hostile.wav, U32, U16, st.sampled_from([0, 1, 4, 8, 16, 24, 32, 64, 65_535]), U32, U16, U16 | st.none()),
    st.builds(hostile.aiff, number(31), U16, U16, U32),
    st.builds(hostile.au, U32, U32, st.integers(0, 30) | U32, U32),
    st.builds(hostile.caf, DOUBLES, U32, U32, U32, U32),
    st.builds(hostile.flac, number(20), st.integers(1, 8), number(36), BLOCKS),
    st.builds(hostile.ogg_flac, number(20), st.integers(1, 8), BLOCKS),
    st.builds(hostile.ogg_opus, st.integers(0, 255), st.integers(1, 255), st.integers(-32_768, 32_767)),
    st.builds(
        hostile.ogg_vorbis, U32, st.integers(0, 255), st.integers(1, 256), st.integers(1, 16), st.integers(1, 20)
    ),
    st.builds(hostile.matroska, DOUBLES, U32, PACKETS, st.sampled_from([None, 0, 1, 2, 3, 255]), DOUBLES),
    st.builds(hostile.mp4, st.integers(0, 40), U32, U32, U16, run=st.just(0) | U32),
    st.builds(hostile.mp4, st.integers(1, 9), U32, U32, U16, st.builds(hostile.alac, U32, number(8), U32)),
    st.builds(lambda *header: hostile.adts(*header) * 50, st.integers(0, 15), st.integers(0, 7), number(13)),
    st.builds(lambda count, size: hostile.id3(count, size) + MP3, st.integers(0, 20), number(24)),
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=FILES)
def test_headers_of_any_numbers_cost_little(data: bytes, ask: Callable[[bytes], Cost]) -> None:
    cost = ask(data)
    assert cost.status == 200 or 400 <= cost.status < 500
    assert cost.grown < MOST
