"""Raw PCM to WAV: layouts, gain within the headroom, and wrong arguments."""

from __future__ import annotations

import io
import tracemalloc
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import BadRequest, PayloadTooLarge
from media import pcm as raw_pcm
from media.audio import AudioLimits, decode
from media.downmix import BLOCK_VALUES
from media.pcm import PcmFormat, pcm_to_wav
from tasks.heart_sound import check_pcm


def values(data: bytes) -> np.ndarray:
    """Reads 16-bit values back out of a WAV file."""
    with wave.open(io.BytesIO(data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def samples(data: bytes, layout: PcmFormat, factor: float = 10.0) -> NDArray[np.float32]:
    """What the service reads of raw PCM, at its own rate."""
    return raw_pcm.decode(data, layout, factor, AudioLimits(), layout.sample_rate).samples


def pcm(*samples: int) -> bytes:
    return np.array(samples, "<i2").tobytes()


def test_defaults_are_those_of_the_contract() -> None:
    with wave.open(io.BytesIO(pcm_to_wav(pcm(1, 2, 3)))) as file:
        assert file.getparams()[:4] == (1, 2, 16_000, 3)


def test_quiet_audio_gets_the_whole_gain() -> None:
    assert values(pcm_to_wav(pcm(-100, 0, 100))).tolist() == [-1000, 0, 1000]


def test_gain_stops_at_the_loudest_sample() -> None:
    louder = values(pcm_to_wav(pcm(16_384, -8_192, 4_096)))
    assert louder.tolist() == [32_767, -16_384, 8_192]


@pytest.mark.parametrize("loudest", [32_767, -32_768])
def test_loud_audio_is_left_alone(loudest: int) -> None:
    data = pcm(loudest, 1234, -567)
    assert values(pcm_to_wav(data)).tobytes() == data


def test_factor_below_one_makes_quieter() -> None:
    assert values(pcm_to_wav(pcm(1000, -1000), amplification_factor=0.5)).tolist() == [500, -500]


def test_silence_stays_silent() -> None:
    assert not values(pcm_to_wav(bytes(2000))).any()


def test_empty() -> None:
    with pytest.raises(BadRequest, match=r"^No audio data received$"):
        pcm_to_wav(b"")


@pytest.mark.parametrize(("size", "channels", "width"), [(3, 1, 2), (6, 2, 2), (4, 1, 3), (10, 1, 4), (5, 2, 1)])
def test_not_whole_frames(size: int, channels: int, width: int) -> None:
    with pytest.raises(BadRequest, match="whole number of frames"):
        pcm_to_wav(bytes(size), num_channels=channels, sample_width=width)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 0},
        {"sample_rate": -16_000},
        {"sample_rate": 10**9},
        {"num_channels": 0},
        {"num_channels": 70_000},
        {"sample_width": 0},
        {"sample_width": 5},
        {"amplification_factor": 0.0},
        {"amplification_factor": -1.0},
        {"amplification_factor": float("nan")},
        {"amplification_factor": float("inf")},
    ],
    ids=str,
)
def test_wrong_arguments(wrong: dict[str, float]) -> None:
    with pytest.raises(BadRequest, match=next(iter(wrong))):
        pcm_to_wav(bytes(120), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("channels", "width"), [(1, 1), (1, 2), (3, 2), (1, 3), (2, 4), (8, 1)])
def test_the_gain_is_that_of_the_whole(channels: int, width: int) -> None:
    """Several blocks, of which the last one alone is loud."""
    layout = PcmFormat(8_000, channels, width)
    quiet, loud = 1 << (8 * width - 4), 1 << (8 * width - 2)  # an eighth and half of full scale
    levels = np.full(layout.num_channels * 5000 + BLOCK_VALUES * 2, quiet, np.int64)
    levels = levels[: levels.size // channels * channels]
    levels[-1] = -loud
    stored = levels + 128 if width == 1 else levels
    data = stored.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    audio = decode(pcm_to_wav(data, 8_000, channels, width), limits=AudioLimits())
    assert audio.samples[0] == pytest.approx(0.25)
    assert audio.samples[-1] == pytest.approx((0.25 * (channels - 1) - 1) / channels, abs=1e-6)
    np.testing.assert_allclose(audio.samples, samples(data, layout), atol=1e-6)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_memory_stays_near_the_size_of_the_recording(width: int) -> None:
    data = bytes(24 << 20)
    tracemalloc.start()
    try:
        pcm_to_wav(data, sample_rate=768_000, sample_width=width)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("layout", "frames"), [(PcmFormat(16_000, 1, 1), 96_001), (PcmFormat(8_000, 2, 2), 48_001)])
def test_what_is_too_long_is_refused_before_it_is_converted(layout: PcmFormat, frames: int) -> None:
    with pytest.raises(PayloadTooLarge, match="longer than 6 seconds"):
        check_pcm(bytes(frames * layout.frame_bytes), layout, AudioLimits(max_seconds=6))


WIDTHS = st.sampled_from([1, 2, 3, 4])
CHANNELS = st.integers(1, 5)
FACTORS = st.floats(0.01, 1e6)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=400), WIDTHS, CHANNELS, FACTORS)
def test_wav_decodes_to_the_amplified_samples(raw: bytes, width: int, channels: int, factor: float) -> None:
    data = raw * (width * channels)  # whole frames, whatever came
    wav = pcm_to_wav(data, 8_000, channels, width, factor)
    audio = decode(wav, limits=AudioLimits())
    assert (audio.sample_rate, audio.channels) == (8_000, channels)
    direct = samples(data, PcmFormat(8_000, channels, width), factor)
    np.testing.assert_allclose(audio.samples, direct, atol=1e-6)


@given(st.binary(min_size=1, max_size=400), WIDTHS, FACTORS)
def test_nothing_wraps_and_nothing_is_bent(raw: bytes, width: int, factor: float) -> None:
    data = raw * width
    layout = PcmFormat(8_000, 1, width)
    before = samples(data, layout, 1.0).astype(np.float64)
    after = samples(data, layout, factor).astype(np.float64)
    step = 1.0 / layout.full_scale
    loudest = np.abs(before).argmax()
    gain = after[loudest] / before[loudest] if before[loudest] else 1.0
    assert np.abs(after).max() <= np.abs(before).max() * factor * (1 + 1e-6) + step
    assert (np.sign(after) * np.sign(before) >= 0).all()
    np.testing.assert_allclose(after, before * gain, atol=2 * step + 1e-6)


@given(st.binary(min_size=1, max_size=100), WIDTHS)
def test_gain_of_one_gives_the_same_bytes(raw: bytes, width: int) -> None:
    data = raw * width
    with wave.open(io.BytesIO(pcm_to_wav(data, sample_width=width, amplification_factor=1.0))) as file:
        assert file.readframes(file.getnframes()) == data
