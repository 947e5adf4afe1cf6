"""What the decoder refuses: bounds, damage, and hostile bytes."""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadRequest, PayloadTooLarge, ServiceError, TimedOut
from media.audio import AudioLimits, decode
from media.containers import without_tags
from tests.support.audio_bytes import ENCODERS, decoded, encode, tone, wav
from tests.support.served import ROOT

LIMITS = AudioLimits()


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_longer_than_allowed(name: str) -> None:
    data = encode(name, tone(48_000, 3.0), 48_000)
    with pytest.raises(PayloadTooLarge, match="2 seconds"):
        decode(data, limits=AudioLimits(max_seconds=2.0))


def test_a_claimed_length_is_refused_before_decoding() -> None:
    data = bytearray(encode("flac", tone(16_000), 16_000))
    start = data.index(b"fLaC") + 8 + 10  # STREAMINFO: rate, channels, bits, 36 bits of sample count
    packed = int.from_bytes(data[start : start + 8], "big") | ((1 << 36) - 1)
    data[start : start + 8] = packed.to_bytes(8, "big")
    with pytest.raises(PayloadTooLarge):
        decoded(bytes(data))


def test_more_samples_than_allowed() -> None:
    with pytest.raises(PayloadTooLarge, match="10000 samples"):
        decode(wav(tone(16_000, 1.0, 2), 16_000), limits=AudioLimits(max_samples=10_000))


def test_bomb_of_silence_stops_at_the_limit() -> None:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 48_000, 8, format="FLAC", subtype="PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros((48_000, 8), np.int16))
    assert len(out.getvalue()) < 100_000
    started = time.monotonic()
    with pytest.raises(PayloadTooLarge):
        decode(out.getvalue(), limits=AudioLimits(max_samples=1_000_000))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("name", ["wav", "mp3"])
def test_deadline(name: str) -> None:
    with pytest.raises(TimedOut):
        decode(encode(name, tone(48_000), 48_000), limits=AudioLimits(deadline=time.monotonic() - 1))


NO_FRAME = b"#!AMR\n" + b"\x7c" * 100_000  # of frames that are all damaged


@pytest.mark.parametrize(
    ("deadline", "error"),
    [(1, TimedOut), (30, TimedOut), (500, BadRequest)],
    ids=["while it is probed", "while packets are damaged", "not reached, as so many damaged packets are not tried"],
)
def test_deadline_of_a_recording_that_brings_no_frame(
    deadline: int, error: type[ServiceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = itertools.count()
    monkeypatch.setattr("media.samples.time", SimpleNamespace(monotonic=lambda: next(moments)))
    with pytest.raises(error):
        decode(NO_FRAME, limits=AudioLimits(deadline=deadline))
    assert next(moments) < 510


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - {"m4a"}))
def test_cut_off_recording_is_taken_as_far_as_it_goes(name: str) -> None:
    data = encode(name, tone(48_000, 4.0), 48_000)
    audio = decoded(data[: len(data) // 2])
    assert 1.0 < audio.duration_s < 3.0


def test_cut_off_m4a_without_its_index() -> None:
    data = encode("m4a", tone(48_000, 4.0), 48_000)
    with pytest.raises(BadRequest):
        decoded(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"hello, world", bytes(5000), b"\x89PNG\r\n\x1a\n" + bytes(99), wav(np.zeros(0), 8_000)]
)
@pytest.mark.parametrize("declared", [None, *sorted(ENCODERS)])
def test_not_audio(data: bytes, declared: str | None) -> None:
    with pytest.raises(BadRequest):
        decoded(data, declared_format=declared)


@pytest.mark.parametrize("rate", [1, 99, 10_000_000])
def test_impossible_rates(rate: int) -> None:
    with pytest.raises(BadRequest, match="Hz"):
        decoded(wav(np.zeros(100), rate))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.wav"
    path.write_bytes(wav(tone(16_000), 16_000))
    return path


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\n",
        "[playlist]\nNumberOfEntries=1\nFile1={path}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><BaseURL>file://{path}</BaseURL></MPD>',
        "{path}",
        "file:{path}",
        "concat:{path}|{path}",
    ],
)
@pytest.mark.parametrize("declared", [None, "mp3", "hls", "concat", "sdp", "dash", "lavfi"])
def test_playlists_open_no_file(playlist: str, declared: str | None, secret: Path) -> None:
    with pytest.raises(BadRequest):
        decoded(playlist.format(path=secret).encode(), declared_format=declared)


@pytest.mark.parametrize("reference", [b"url ", b"alis"])
def test_m4a_that_refers_to_another_file(reference: bytes, secret: Path) -> None:
    data = encode("m4a", tone(44_100), 44_100)
    entry = data.index(b"url \x00\x00\x00\x01")  # "the samples are in this very file"
    link = reference + b"\x00\x00\x00\x00" + str(secret).encode() + b"\x00"
    try:
        audio = decoded(data[:entry] + link + data[entry + len(link) :])
    except BadRequest:
        return
    assert audio.sample_rate == 44_100  # its own samples, not the other file's


INDEX_BOMB = """
import resource, sys
from core.errors import BadRequest
from media.audio import AudioLimits, decode
from media.containers import without_tags
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode(sys.stdin.buffer.read(), limits=AudioLimits())
except BadRequest:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_m4a_that_states_an_endless_index_costs_no_memory() -> None:
    data = bytearray(encode("m4a", tone(44_100), 44_100))
    count = 20_000_000  # samples of one byte: 750 MB of index where it is built
    sizes, chunks, times = (data.index(name) for name in (b"stsz", b"stsc", b"stts"))
    data[sizes + 8 : sizes + 16] = struct.pack(">II", 1, count)
    data[chunks + 8 : chunks + 24] = struct.pack(">IIII", 1, 1, count, 1)
    data[times + 12 : times + 20] = struct.pack(">II", count, 1)
    command = [sys.executable, "-c", INDEX_BOMB]
    done = subprocess.run(command, input=bytes(data), capture_output=True, check=True, cwd=ROOT, timeout=60)
    assert int(done.stdout) < 100_000  # kilobytes


def test_tags_by_the_hundred_thousand_cost_no_memory() -> None:
    data = b"\xff\xfb\x90\0" + b"ID3\2ID3\3ID3\4ID3\5" * 50_000
    tracemalloc.start()
    try:
        cleaned = without_tags(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()
    assert cleaned == b"\xff\xfb\x90\0" + (bytes(12) + b"ID3\5") * 50_000


def with_chunks(count: int, *, before: bool = True) -> bytes:
    """A WAV file of a second with so many empty chunks before its sound, or behind it."""
    clip, chunks = wav(tone(16_000), 16_000), b"junk\0\0\0\0" * count
    body = clip[8:36] + chunks + clip[36:] if before else clip[8:] + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


PARTS = {
    "wav": with_chunks(2_000_000),
    "wav without sound": b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\0\0\0\0" * 2_000_000,
    "m4a": b"\0\0\0\x14ftypM4A \0\0\0\0M4A \1\xc9\xc3\x88moov" + b"\0\0\0\x08free" * 2_000_000,
    "aiff": b"FORM\x7f\xff\xff\xffAIFF" + b"junk\0\0\0\0" * 2_000_000,
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_without_sound_are_not_followed_without_end(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadRequest, match="too many parts without sound"):
        decoded(PARTS[name])
    assert capfd.readouterr().err == ""  # which holds the log


def test_a_deadline_while_a_file_is_opened_leaves_nothing_beside_the_log(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """FFmpeg reads on after an error, and PyAV printed a trace of each that followed."""
    moments = itertools.count()
    monkeypatch.setattr("media.samples.time", SimpleNamespace(monotonic=lambda: next(moments)))
    with pytest.raises(TimedOut):
        decode(PARTS["aiff"], limits=AudioLimits(deadline=3))
    assert capfd.readouterr().err == ""


def test_parts_without_sound_behind_some_sound_are_not_followed_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.audio.BY_LIBSNDFILE", frozenset())
    with pytest.raises(BadRequest, match="too many parts without sound"):
        decoded(with_chunks(2_000_000, before=False))


@pytest.mark.parametrize("by_libsndfile", [True, False])
def test_ten_thousand_chunks_are_read(by_libsndfile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_libsndfile:
        monkeypatch.setattr("media.audio.BY_LIBSNDFILE", frozenset())
    assert decoded(with_chunks(10_000)).duration_s == 1.0


def test_a_large_cover_is_read_over() -> None:
    clip = encode("m4a", tone(44_100), 44_100)
    assert decoded(with_cover(clip, 10 << 20)).duration_s == pytest.approx(1.0, abs=0.05)


def box(name: bytes, content: bytes) -> bytes:
    """A box of an MP4 file."""
    return struct.pack(">I", len(content) + 8) + name + content


def with_cover(m4a: bytes, size: int) -> bytes:
    """The same recording with a picture of so many bytes."""
    start = m4a.index(b"moov") - 4
    stop = start + int.from_bytes(m4a[start : start + 4])
    picture = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + b"\xff\xd8\xff\xe0" + bytes(size)))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tags = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", picture)))
    return m4a[:start] + box(b"moov", m4a[start + 8 : stop] + tags) + m4a[stop:]


def test_tags_by_the_hundred_thousand_are_not_followed() -> None:
    empty = b"ID3\4" + bytes(6)
    assert decoded(empty * 1000 + wav(tone(16_000), 16_000)).duration_s == 1.0
    with pytest.raises(BadRequest, match="more than 1000 tags"):
        decoded(empty * 1001 + wav(tone(16_000), 16_000))


def test_messages_name_no_library_and_no_path() -> None:
    for data in (b"x" * 100, b"RIFF", encode("mp3", tone(16_000), 16_000)[:200]):
        with pytest.raises(BadRequest) as caught:
            decoded(data)
        text = caught.value.message.lower()
        assert not any(word in text for word in ("ffmpeg", "libsndfile", "errno", "bytesio", "/", "none"))


CLIPS = [encode(name, tone(48_000, 0.3, 2), 48_000) for name in sorted(ENCODERS)]
CLIPS += [wav(tone(16_000, 0.3), 16_000, subtype) for subtype in ("FLOAT", "ALAW")]


def status_of(data: bytes, declared: str | None, rate: int | None) -> int:
    """Decodes whatever comes, and checks it when it decodes."""
    try:
        audio = decode(data, limits=LIMITS, declared_format=declared, target_rate=rate)
    except ServiceError as error:
        return error.status
    assert audio.samples.dtype == np.float32
    assert audio.samples.size > 0
    assert float(np.abs(audio.samples).max()) <= 1.0
    assert audio.samples_rate == (rate or audio.sample_rate)
    return 200


DECLARED = st.sampled_from([None, "mp3", "aac", "wav"])
RATE = st.sampled_from([None, 16_000])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=4000), DECLARED, RATE)
def test_random_bytes(data: bytes, declared: str | None, rate: int | None) -> None:
    assert status_of(data, declared, rate) in {200, 400, 413}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CLIPS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=40), DECLARED, RATE)
def test_damaged_recordings(
    clip: bytes, flips: list[tuple[float, int]], declared: str | None, rate: int | None
) -> None:
    damaged = bytearray(clip)
    for position, value in flips:
        damaged[int(position**3 * (len(clip) - 1))] = value  # mostly in the headers
    assert status_of(bytes(damaged), declared, rate) in {200, 400, 413}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(CLIPS), st.floats(0, 1), st.floats(0, 1), RATE)
def test_pieces_of_recordings(clip: bytes, start: float, stop: float, rate: int | None) -> None:
    piece = clip[int(start * len(clip) / 2) : int(stop * len(clip))]
    assert status_of(piece, None, rate) in {200, 400, 413}
