"""The decoder: every container, any rate and channel count."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from core.errors import BadRequest, PayloadTooLarge
from media import containers
from media.audio import AudioLimits, decode
from media.samples import MAX_PARTS, Sink, resample
from media.signatures import recognise
from tests.support.audio_bytes import ENCODERS, decoded, encode, film, mux, tone, wav

LIMITS = AudioLimits()
OPUS_RATE = 48_000  # Hz; Opus decodes to this whatever went in


def strength(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


RATES = [8_000, 16_000, 44_100, 48_000]
OPUS = {"ogg", "webm"}  # which has no 44.1 kHz


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("name", "rate"), [(name, rate) for name in ENCODERS for rate in RATES if name not in OPUS or rate != 44_100]
)
def test_every_container_of_the_contract(name: str, rate: int, channels: int) -> None:
    audio = decoded(encode(name, tone(rate, 2.0, channels), rate), declared_format=name)
    assert (audio.container, audio.as_declared) == (name, True)
    assert (audio.sample_rate, audio.channels) == (OPUS_RATE if name in OPUS else rate, channels)
    assert audio.duration_s == pytest.approx(2.0, abs=0.2 if name == "aac" else 0.05)  # ADTS knows no padding
    assert strength(audio.samples) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    assert audio.mime_type.startswith("audio/")


@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"])
@pytest.mark.parametrize(("rate", "channels"), [(1_000, 1), (11_025, 2), (96_000, 6), (384_000, 32)])
def test_every_kind_of_wav(container: str, subtype: str, rate: int, channels: int) -> None:
    signal = tone(rate, 0.1, channels)
    audio = decoded(wav(signal, rate, subtype, container))
    coarse = subtype in {"PCM_U8", "ALAW", "ULAW"}
    assert (audio.sample_rate, audio.channels, audio.container) == (rate, channels, "wav")
    np.testing.assert_allclose(audio.samples, signal[:, 0], atol=0.03 if coarse else 1e-4)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_every_kind_of_w64(subtype: str) -> None:
    """FFmpeg takes one of MS ADPCM for thousands of seconds long."""
    audio = decoded(wav(tone(16_000, 2.0), 16_000, subtype, "W64"))
    assert (audio.container, audio.sample_rate) == ("w64", 16_000)
    assert audio.duration_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("name", [b"RF64", b"BW64"])
def test_wav_files_of_long_recordings(name: bytes) -> None:
    """Recorders write such, of short recordings too; ITU-R BS.2088 has renamed the first to the second."""
    data = name + wav(tone(16_000), 16_000, container="RF64")[4:]
    assert (decoded(data).container, decoded(data).duration_s) == ("wav", 1.0)
    assert recognise(data) == "wav"  # or `/upload_audio` would take it for raw PCM


def test_channels_are_mixed_by_their_mean() -> None:
    signal = np.stack([np.full(100, 0.5), np.full(100, -0.1)], axis=1)
    np.testing.assert_allclose(decoded(wav(signal, 8_000, "FLOAT")).samples, 0.2, atol=1e-6)


@pytest.mark.parametrize("name", ["flac", "aac", "ogg", "webm", "m4a"])
def test_eight_planes_do_not_crash_the_process(name: str) -> None:
    audio = decoded(encode(name, tone(48_000, 0.5, 8), 48_000))
    assert audio.channels == 8
    assert strength(audio.samples) > 0.25


def ogg_of(encoder: str, rate: int, channels: int) -> bytes:
    signal = tone(rate, 4.41, channels)
    if encoder != "vorbis":
        return mux("ogg", encoder, signal, rate)
    out = io.BytesIO()
    soundfile.write(out, signal, rate, format="OGG", subtype="VORBIS")
    return out.getvalue()


@pytest.mark.parametrize(
    ("encoder", "first", "second"),
    [
        ("flac", (16_000, 1), (44_100, 2)),
        ("vorbis", (16_000, 1), (44_100, 2)),
        ("vorbis", (44_100, 2), (44_100, 2)),
        ("libopus", (16_000, 1), (48_000, 2)),
    ],
)
def test_a_chain_of_ogg_streams_is_decoded_to_its_end(
    encoder: str, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """A recorder of internet radio writes a link for each programme, with the rate of its own."""
    chain = ogg_of(encoder, *first) + ogg_of(encoder, *second)
    audio = decoded(chain, target_rate=16_000)
    assert audio.duration_s == pytest.approx(8.82, abs=0.02)
    assert audio.samples.size == pytest.approx(8.82 * 16_000, abs=800)
    assert audio.channels == first[1]
    assert strength(audio.samples[5 * 16_000 : 8 * 16_000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    assert decoded(chain, keep_seconds=6.0, target_rate=16_000).samples.size == pytest.approx(6 * 16_000, abs=2)
    cut = decoded(chain[: len(ogg_of(encoder, *first)) + 40], target_rate=16_000)
    assert cut.duration_s == pytest.approx(4.41, abs=0.01)


def test_a_chain_of_endless_links_is_refused() -> None:
    link = mux("ogg", "flac", tone(8_000, 0.05), 8_000)
    with pytest.raises(BadRequest, match="begins anew"):
        decoded(link * 300)


def test_endless_changes_of_rate_are_refused() -> None:
    sink = Sink(LIMITS, 16_000, None)
    for place in range(MAX_PARTS):
        sink.begin((8_000, 16_000)[place % 2], 1)
    with pytest.raises(BadRequest, match="changes"):
        sink.begin(8_000, 1)


def test_a_flac_file_behind_a_tag_is_read() -> None:
    tag = b"ID3\4\0\0" + bytes([0, 1, 0x7F, 0x7F]) + bytes(1 << 14 | 0x7F << 7 | 0x7F)
    for name in ("flac", "aac", "mp3"):
        audio = decoded(tag + encode(name, tone(44_100, 1.0), 44_100))
        assert audio.duration_s == pytest.approx(1.0, abs=0.1)
        assert audio.container == name


def test_recorder_of_a_browser_states_no_duration() -> None:
    data = mux("webm", "libopus", tone(48_000, 2.0), 48_000, {"live": "1"})
    assert decoded(data, declared_format="webm").duration_s == pytest.approx(2.0, abs=0.01)


def test_fragmented_mp4() -> None:
    data = mux("mp4", "aac", tone(48_000, 2.0), 48_000, {"movflags": "frag_keyframe+empty_moov"})
    assert decoded(data).duration_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("options", [None, {"moov_size": "8192"}])
def test_m4a_index_at_either_end(options: dict[str, str] | None) -> None:
    data = mux("ipod", "aac", tone(44_100, 2.0), 44_100, options)
    assert (data.find(b"moov") < data.find(b"mdat")) == (options is not None)
    assert decoded(data).duration_s == pytest.approx(2.0, abs=0.005)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_of_a_stream_states_a_false_length(size: int) -> None:
    data = bytearray(wav(tone(16_000), 16_000))
    data[4:8] = data[40:44] = struct.pack("<I", size)
    assert decoded(bytes(data)).duration_s == pytest.approx(1.0)


def test_another_container_than_declared_is_accepted_and_noted() -> None:
    audio = decoded(encode("flac", tone(16_000), 16_000), declared_format="mp3")
    assert (audio.container, audio.as_declared) == ("flac", False)


@pytest.mark.parametrize(
    ("found", "declared"),
    [("m4a", "mp4"), ("webm", "audio/webm"), ("ogg", "OPUS"), ("wav", "audio/x-wav"), ("mp3", "MP3")],
)
def test_other_names_of_the_same_container(found: str, declared: str) -> None:
    assert containers.is_declared(found, declared)


def test_more_packets_than_any_other_codec_makes() -> None:
    """QuickTime's ADPCM has 64 samples in a packet, and so 1500 of them a second."""
    assert decoded(mux("aiff", "adpcm_ima_qt", tone(96_000, 10.0), 96_000)).duration_s == pytest.approx(10.0, abs=0.01)


def test_film_without_sound() -> None:
    with pytest.raises(BadRequest, match="no sound track"):
        decoded(film(sound=False))


def test_film_with_sound() -> None:
    assert decoded(film(sound=True)).duration_s == pytest.approx(0.5, abs=0.05)


def test_target_rate_is_that_of_the_samples_only() -> None:
    data = encode("flac", tone(44_100, 1.5, 2), 44_100)
    audio = decoded(data, target_rate=16_000)
    assert (audio.samples_rate, audio.sample_rate, audio.samples.size) == (16_000, 44_100, 24_000)
    whole = decoded(data)
    np.testing.assert_allclose(audio.samples, resample(whole.samples, 44_100, 16_000), atol=1e-5)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_keeping_the_first_seconds(name: str) -> None:
    audio = decoded(encode(name, tone(48_000, 3.0), 48_000), keep_seconds=1.0, target_rate=16_000)
    assert audio.samples.size == 16_000
    assert audio.duration_s == pytest.approx(1.0)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_what_is_cut_may_be_longer_than_the_limit(name: str) -> None:
    data, limits = encode(name, tone(48_000, 3.0), 48_000), AudioLimits(max_seconds=2.0)
    assert decode(data, limits=limits, keep_seconds=1.0).duration_s == pytest.approx(1.0)
    with pytest.raises(PayloadTooLarge, match="longer than 2 seconds"):
        decode(data, limits=limits)
    with pytest.raises(PayloadTooLarge, match="longer than 2 seconds"):
        decode(data, limits=limits, keep_seconds=2.5)


def test_a_single_sample_is_audio() -> None:
    audio = decoded(wav(np.array([0.25]), 48_000, "FLOAT"), target_rate=16_000)
    assert audio.samples.size == 1


@pytest.mark.parametrize("scale", [1.2, 30_000.0, 1e30])
def test_beyond_full_scale_is_scaled_and_not_clipped(scale: float) -> None:
    signal = tone(16_000, 0.5)[:, 0] * 2  # peak 1
    audio = decoded(wav(signal * np.float32(scale), 16_000, "FLOAT"))
    np.testing.assert_allclose(audio.samples, signal, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [None, 8_000])
def test_samples_that_are_no_numbers(value: float, rate: int | None) -> None:
    signal = tone(16_000, 0.5)[:, 0]
    signal[1000] = value
    with pytest.raises(BadRequest, match="finite"):
        decoded(wav(signal, 16_000, "FLOAT"), target_rate=rate)


@pytest.mark.parametrize("subtype", ["DOUBLE"])
def test_doubles_too_large_for_floats(subtype: str) -> None:
    with pytest.raises(BadRequest, match="finite"):
        decoded(wav(np.full((100, 2), 1e300), 16_000, subtype))


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(48_000, 16_000), (1_000, 16_000), (384_000, 16_000), (44_100, 2_000)]
)
def test_resampling_keeps_a_tone(from_rate: int, to_rate: int) -> None:
    frequency = 0.1 * min(from_rate, to_rate)
    source = np.sin(2 * np.pi * frequency * np.arange(from_rate) / from_rate).astype(np.float32)
    wanted = np.sin(2 * np.pi * frequency * np.arange(to_rate) / to_rate)
    middle = slice(to_rate // 4, -to_rate // 4)
    np.testing.assert_allclose(resample(source, from_rate, to_rate)[middle], wanted[middle], atol=2e-3)
