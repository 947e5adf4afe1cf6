"""Changes that a recording may go through without its label changing: noise, rooms, bandwidth, speed.

Every transform is a small frozen object called with ``(audio, rng)``; audio is float32 [samples] in [-1, 1] at
``SAMPLE_RATE``, the result is a new array of the same kind. Nothing here looks at a label. Codecs have a module of
their own, ``training.data.codecs``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Transform = Callable[[Audio, np.random.Generator], Audio]

SAMPLE_RATE = 16_000  # Hz
FLOOR = 1e-8  # power below which a signal counts as nothing (-80 dBFS)


@dataclass(frozen=True, slots=True)
class Chain:
    """Transforms one after the other."""

    transforms: Sequence[Transform]

    def __call__(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Applies all of them."""
        for transform in self.transforms:
            audio = transform(audio, rng)
        return audio


@dataclass(frozen=True, slots=True)
class Sometimes:
    """One transform, with a probability."""

    probability: float
    transform: Transform

    def __call__(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Applies it or returns the audio as it is."""
        return self.transform(audio, rng) if rng.random() < self.probability else audio


@dataclass(frozen=True, slots=True)
class Noise:
    """Background noise at a signal-to-noise ratio drawn evenly in dB.

    Attributes:
        bank: Recordings to take pieces from; without any, or half of the time, noise with a random spectral slope.
        low_db: Lowest ratio.
        high_db: Highest ratio.
    """

    bank: Sequence[Audio] = ()
    low_db: float = 5.0
    high_db: float = 35.0

    def __call__(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Adds the noise."""
        if self.bank and rng.random() < 0.5:
            noise = fit_length(self.bank[int(rng.integers(len(self.bank)))], audio.size, rng)
        else:
            noise = coloured_noise(audio.size, rng.uniform(0.0, 2.0), rng)
        ratio = 10.0 ** (rng.uniform(self.low_db, self.high_db) / 10.0)
        level = np.sqrt(power(audio) / (max(power(noise), FLOOR) * ratio))
        return np.asarray(audio + level * noise, np.float32)


@dataclass(frozen=True, slots=True)
class Reverberation:
    """A synthetic room: the direct sound and exponentially decaying noise that is duller the later it comes.

    Attributes:
        low_s: Shortest reverberation time (60 dB).
        high_s: Longest one.
        low_db: Smallest ratio of direct to reverberant energy.
        high_db: Largest one.
    """

    low_s: float = 0.1
    high_s: float = 0.7
    low_db: float = 0.0
    high_db: float = 15.0

    def __call__(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Convolves with the room; level and length stay."""
        seconds = rng.uniform(self.low_s, self.high_s)
        time = np.arange(1, int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        tail = coloured_noise(time.size, rng.uniform(0.3, 1.2), rng) * np.exp(-6.9 * time / seconds)  # ln(1000) = 6.9
        tail *= np.sqrt(10.0 ** (-rng.uniform(self.low_db, self.high_db) / 10.0) / np.sum(tail**2))
        wet = _convolve(audio, np.concatenate(([1.0], tail)))[: audio.size]
        return np.asarray(wet * np.sqrt(power(audio) / max(power(wet), FLOOR)), np.float32)


@dataclass(frozen=True, slots=True)
class BandLimit:
    """A low-pass (and sometimes a telephone's high-pass) with soft edges, drawn anew each time.

    Attributes:
        low_hz: Lowest upper corner.
        high_hz: Highest upper corner.
        telephone: Probability of a high-pass between 100 and 350 Hz as well.
    """

    low_hz: float = 3_000.0
    high_hz: float = 7_800.0
    telephone: float = 0.15

    def __call__(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Filters the audio (zero phase)."""
        frequency = _frequencies(audio.size)
        corner = rng.uniform(self.low_hz, self.high_hz)
        gain = _step((corner - frequency) / (corner * rng.uniform(0.02, 0.1)))
        if rng.random() < self.telephone:
            low = rng.uniform(100.0, 350.0)
            gain *= _step((frequency - low) / (0.15 * low))
        return _filtered(audio, gain)


@dataclass(frozen=True, slots=True)
class Equaliser:
    """A smooth random frequency response, as microphones and loudspeakers have.

    Attributes:
        spread_db: Standard deviation of the gain at each of eight frequencies, between which it is interpolated.
    """

    spread_db: float = 4.0

    def __call__(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Filters the audio (zero phase); the level stays."""
        knots = np.geomspace(60.0, SAMPLE_RATE / 2, 8)
        gain_db = np.interp(
            np.log(_frequencies(audio.size) + 1.0), np.log(knots), rng.normal(0.0, self.spread_db, knots.size)
        )
        out = _filtered(audio, 10.0 ** (gain_db / 20.0))
        return np.asarray(out * np.sqrt(power(audio) / max(power(out), FLOOR)), np.float32)


@dataclass(frozen=True, slots=True)
class Speed:
    """Playback a little faster or slower (pitch moves along: keep it small where pitch carries the label).

    Attributes:
        spread: Largest relative change.
    """

    spread: float = 0.03

    def __call__(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Resamples the audio; the length changes by at most ``spread``."""
        factor = 1.0 + rng.uniform(-self.spread, self.spread)
        return np.asarray(soxr.resample(audio, SAMPLE_RATE * factor, SAMPLE_RATE, quality="LQ"), np.float32)


def coloured_noise(size: int, slope: float, rng: np.random.Generator) -> Audio:
    """Gaussian noise whose power falls as 1 / f^slope (0 white, 1 pink, 2 brown), with unit power.

    Returns:
        float32 [size].
    """
    frequency = _frequencies(size)
    white = rng.standard_normal(_fft_size(size)).astype(np.float32)
    noise = _filtered(white, np.maximum(frequency, 20.0) ** (-slope / 2.0))[:size]  # flat below 20 Hz
    return np.asarray(noise / np.sqrt(max(power(noise), 1e-30)), np.float32)


def fit_length(audio: Audio, size: int, rng: np.random.Generator) -> Audio:
    """A piece of exactly ``size`` samples from a random place; shorter audio is repeated."""
    repeated = np.tile(audio, -(-size // audio.size) + 1)
    start = int(rng.integers(audio.size))
    return repeated[start : start + size]


def power(audio: NDArray[np.floating]) -> float:
    """Mean square."""
    return float(np.mean(np.square(audio, dtype=np.float64)))


def _convolve(audio: NDArray[np.floating], kernel: NDArray[np.floating]) -> NDArray[np.float64]:
    size = _fft_size(audio.size + kernel.size)
    product: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(kernel, size), size)
    return product


def _fft_size(samples: int) -> int:
    """The next multiple of 1024: transforms of prime lengths take twenty times as long."""
    return -(-samples // 1024) * 1024


def _frequencies(samples: int) -> NDArray[np.float64]:
    """Frequencies (Hz) at which ``_filtered`` takes its gains for a clip of so many samples."""
    return np.asarray(np.fft.rfftfreq(_fft_size(samples), 1.0 / SAMPLE_RATE), np.float64)


def _filtered(audio: Audio, gain: NDArray[np.float64]) -> Audio:
    spectrum = np.fft.rfft(audio, _fft_size(audio.size))
    return np.asarray(np.fft.irfft(spectrum * gain)[: audio.size], np.float32)


def _step(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """A smooth step from 0 to 1 around 0, of width about 4."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(4.0 * x, -60.0, 60.0))), np.float64)
