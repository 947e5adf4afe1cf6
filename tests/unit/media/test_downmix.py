"""Several channels to one: what they hold is kept, whatever their polarity, delay and level."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from media import pcm
from media.audio import AudioLimits, decode
from media.downmix import BLOCK_VALUES, Downmix
from media.pcm import PcmFormat
from tests.support.audio_bytes import encode, wav

RATE = 16_000
VOICES = Path(__file__).parents[2] / "data" / "voices"
RNG = np.random.default_rng(5)
Signal = NDArray[np.float64]


def voice(name: str = "female_1") -> Signal:
    samples, rate = soundfile.read(VOICES / f"{name}.flac")
    assert rate == RATE
    return np.resize(samples, 4 * RATE)


def delayed(signal: Signal, seconds: float) -> Signal:
    """A signal later by any time, also by a part of a sample."""
    frequencies = np.fft.rfftfreq(2 * len(signal), 1 / RATE)
    spectrum = np.fft.rfft(signal, 2 * len(signal)) * np.exp(-2j * np.pi * frequencies * seconds)
    return np.asarray(np.fft.irfft(spectrum)[: len(signal)])


def noise(signal: Signal, decibels: float) -> Signal:
    """Noise so far below a signal."""
    return np.asarray(RNG.standard_normal(len(signal)) * signal.std() * 10 ** (-decibels / 20))


def kept(mixed: NDArray[np.floating], source: Signal) -> float:
    """What is left of each frequency of a source, where it is strong: the tenth percentile in decibels."""
    mine, its = (
        np.square(np.abs(np.fft.rfft(signal[: len(signal) // 512 * 512].reshape(-1, 512)))).sum(axis=0)
        for signal in (mixed, source)
    )
    strong = its > 1e-5 * its.max()
    return float(np.percentile(10 * np.log10(mine[strong] / its[strong]), 10))


def mix(*channels: Signal) -> NDArray[np.float32]:
    return mixed(np.stack(channels, axis=1))


def mixed(samples: NDArray[Any]) -> NDArray[np.float32]:
    """A whole recording, float [n, channels], in blocks as ``media.samples`` takes it."""
    size, mixer = BLOCK_VALUES // samples.shape[1], Downmix(RATE, samples.shape[1])
    return np.concatenate([mixer.mix(samples[start : start + size]) for start in range(0, max(len(samples), 1), size)])


def test_reversed_polarity_is_not_silence() -> None:
    sound = voice()
    np.testing.assert_allclose(mix(sound, -sound), sound, atol=1e-6)


def test_nearly_reversed_polarity() -> None:
    sound = voice()
    other = -sound + noise(sound, 14)
    assert np.corrcoef(sound, other)[0, 1] == pytest.approx(-0.98, abs=0.005)
    assert kept(mix(sound, other), sound) > -1
    assert kept((sound + other) / 2, sound) < -10  # what the mean makes of it


@pytest.mark.parametrize("milliseconds", [0.1, 0.2, 0.35, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("name", ["female_1", "male_1"])
def test_two_microphones_are_no_comb_filter(milliseconds: float, name: str) -> None:
    sound = voice(name)
    other = delayed(sound, milliseconds / 1000)
    near, far = sound + noise(sound, 30), other + noise(sound, 30)
    assert kept(mix(near, far), sound) > -1
    assert kept((near + far) / 2, sound) < -6


@pytest.mark.parametrize("rest", [None, 50.0])
def test_one_dead_channel(rest: float | None) -> None:
    sound = voice()
    dead = np.zeros_like(sound) if rest is None else noise(sound, rest)
    for channels in ((sound, dead), (dead, sound)):
        np.testing.assert_allclose(mix(*channels), sound, atol=1e-3)


def test_two_voices_of_different_loudness_are_both_kept() -> None:
    loud, soft = voice("female_1"), 0.3 * voice("male_1")
    mixed = mix(loud, soft)
    alone = mixed / np.dot(mixed, loud) * np.dot(loud, loud) - loud
    assert np.corrcoef(alone, soft)[0, 1] > 0.95
    assert mixed.std() > 0.49 * loud.std()


def test_ordinary_stereo_is_its_mean() -> None:
    left, right = voice("female_1"), voice("male_1")
    right *= left.std() / right.std()
    for pair in ((left, left), (left, right), (left + 0.4 * right, right + 0.4 * left), (left, 0.7 * left)):
        np.testing.assert_allclose(mix(*pair), (pair[0] + pair[1]) / 2, atol=1e-6)


def test_surround_whose_voice_is_in_the_centre() -> None:
    sound, silence = voice(), np.zeros(4 * RATE)
    ambience = [noise(sound, 25) for _ in range(4)]
    assert kept(mix(silence, silence, sound, silence, silence, silence), sound) > -0.1
    mixed = mix(ambience[0], ambience[1], sound, silence, ambience[2], ambience[3])
    assert mixed.std() > 0.45 * sound.std()
    assert np.corrcoef(mixed, sound)[0, 1] > 0.95


def test_surround_with_reversed_rear_channels_keeps_the_rear() -> None:
    front, rear = voice("female_1"), 0.5 * voice("male_1")
    mixed = mix(front, front, front, np.zeros(4 * RATE), rear, -rear)
    rest = mixed / np.dot(mixed, front) * np.dot(front, front) - front
    assert abs(np.corrcoef(rest, rear)[0, 1]) > 0.9


def test_what_changes_on_the_way_is_noticed() -> None:
    sound = np.tile(voice(), 12)
    other = sound.copy()
    other[len(other) // 2 :] *= -1
    mixed = mix(sound, other)
    assert kept(mixed[-10 * RATE :], sound[-10 * RATE :]) > -1


def test_more_channels_than_are_compared() -> None:
    sound = voice()
    np.testing.assert_allclose(mix(*[sound] * 32), sound, atol=1e-6)
    assert kept(mix(sound, *[np.zeros(4 * RATE)] * 31), sound) > -0.1


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_recording_too_short_to_compare_is_its_mean(size: int) -> None:
    pair = RNG.standard_normal((size, 2))
    np.testing.assert_allclose(mixed(pair), pair.mean(axis=1), atol=1e-6)


def test_one_channel_is_itself() -> None:
    np.testing.assert_array_equal(mixed(np.arange(4.0)[:, None]), np.arange(4, dtype=np.float32))


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "ogg", "webm", "m4a", "aac"])
def test_every_container_is_mixed_by_it(name: str) -> None:
    sound = np.repeat(voice(), 3).astype(np.float32)  # at 48 kHz
    data = encode(name, np.stack([sound, -sound], axis=1), 3 * RATE)
    mixed = decode(data, limits=AudioLimits(), target_rate=RATE).samples
    assert mixed.std() == pytest.approx(sound.std(), rel=0.1)


def test_raw_pcm_is_mixed_by_it() -> None:
    sound = voice()
    body = io.BytesIO(wav(np.stack([sound, -sound], axis=1), RATE)).getvalue()[44:]
    mixed = pcm.decode(body, PcmFormat(RATE, 2), 1.0, AudioLimits(), RATE).samples
    np.testing.assert_allclose(mixed, sound, atol=1e-3)
