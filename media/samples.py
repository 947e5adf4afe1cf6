"""Decoded sound: its bounds and resampling."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from core.errors import PayloadTooLarge, TimedOut
from media.containers import mime_type

Samples = NDArray[np.float32]

MIN_RATE = 100  # Hz; seismic and heart recorders go down to some hundred
MAX_RATE = 768_000  # Hz; the highest rate that converters offer
MAX_SAMPLES = 1 << 27  # all channels: 600 s of stereo at 96 kHz is 115 million; about 1 s of decoding
BLOCK_VALUES = 1 << 17  # values handled at once: 0.5 MiB of float32
QUALITY = "HQ"  # of soxr: stop band below -120 dB, more than any 16-bit source has


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Bounds of one decoding.

    Attributes:
        max_seconds: Longest recording that is accepted.
        max_samples: Most values that are decoded, over all channels.
        deadline: Moment on the clock of ``time.monotonic`` at which decoding gives up, or None.
    """

    max_seconds: float = 600.0
    max_samples: int = MAX_SAMPLES
    deadline: float | None = None

    def check_time(self) -> None:
        """Raises TimedOut when the deadline has passed."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimedOut("the audio took too long to decode")

    def check_length(self, seconds: float, values: float, rate: float) -> None:
        """Checks a length, claimed or counted.

        Args:
            seconds: Length of the recording.
            values: Number of samples over all channels.
            rate: Rate of the answer (Hz), which may have more samples than the source.

        Raises:
            PayloadTooLarge: It is longer, or has more values, than allowed.
        """
        if seconds > self.max_seconds:
            raise PayloadTooLarge(f"the audio is longer than {self.max_seconds:g} seconds")
        if max(values, seconds * rate) > self.max_samples:
            raise PayloadTooLarge(f"the audio has more than {self.max_samples} samples over all channels")


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """A decoded recording.

    Attributes:
        samples: float32 [n], mono (``media.downmix``), finite, in [-1, 1], at ``samples_rate``.
        samples_rate: Rate of ``samples`` (Hz): the rate asked for, otherwise the source's.
        sample_rate: Rate of the source (Hz).
        channels: Channel count of the source.
        duration_s: Length of what was decoded (seconds), counted at the source's rate, less the codec's padding where
            the container states it.
        container: Container found, by the contract's name where it has one (docs/contract.md, AI-generated voice).
        as_declared: False when the caller declared another container.
    """

    samples: Samples
    samples_rate: int
    sample_rate: int
    channels: int
    duration_s: float
    container: str
    as_declared: bool = True

    @property
    def mime_type(self) -> str:
        """MIME type of the container that was found."""
        return mime_type(self.container)


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Changes the sample rate.

    Args:
        samples: float32 [n], mono.
        from_rate: Rate of ``samples`` (Hz).
        to_rate: Rate wanted (Hz).

    Returns:
        float32 [about n * to_rate / from_rate, at least 1 when n is].
    """
    if from_rate == to_rate or samples.size == 0:
        return samples
    changed: Samples = soxr.resample(samples, from_rate, to_rate, quality=QUALITY)
    return changed if changed.size else samples[:1]
