"""Decoded sound on its way: bounds, mixing, resampling, and the sink that a decoder feeds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from core.errors import BadRequest, PayloadTooLarge, TimedOut
from media.containers import mime_type

Samples = NDArray[np.float32]

MIN_RATE = 100  # Hz; seismic and heart recorders go down to some hundred
MAX_RATE = 768_000  # Hz; the highest rate that converters offer
MAX_SAMPLES = 1 << 27  # all channels: 600 s of stereo at 96 kHz is 115 million; about 1 s of decoding
BLOCK_VALUES = 1 << 17  # values handled at once: 0.5 MiB of float32
PADDING_FRAMES = 4096  # codecs fill their last packet: two AAC frames at most are not part of the recording
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

    def check_length(self, frames: float, rate: float, channels: int) -> None:
        """Checks a length, claimed or counted.

        Args:
            frames: Number of samples per channel.
            rate: Samples per second.
            channels: Number of channels.

        Raises:
            PayloadTooLarge: It is longer, or has more values, than allowed.
        """
        if frames > self.max_seconds * rate:
            raise PayloadTooLarge(f"the audio is longer than {self.max_seconds:g} seconds")
        if frames * channels > self.max_samples:
            raise PayloadTooLarge(f"the audio has more than {self.max_samples} samples over all channels")


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """A decoded recording.

    Attributes:
        samples: float32 [n], mono (mean of the channels), finite, in [-1, 1], at ``samples_rate``.
        samples_rate: Rate of ``samples`` (Hz): the rate asked for, otherwise the source's.
        sample_rate: Rate of the source (Hz).
        channels: Channel count of the source.
        duration_s: Length of what was decoded (seconds), counted at the source's rate, less the codec's padding where
            the container states it.
        container: Container found, in the names of C5 where it is one of them.
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


def to_mono(samples: NDArray[Any]) -> Samples:
    """Mixes channels by their mean.

    Args:
        samples: Float [n] or [n, channels].

    Returns:
        float32 [n].
    """
    if samples.ndim == 1:
        return np.ascontiguousarray(samples, dtype=np.float32)
    if samples.shape[1] == 1:
        return np.ascontiguousarray(samples[:, 0], dtype=np.float32)
    mixed: Samples = samples.mean(axis=1, dtype=np.float32)
    return mixed


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


class Sink:
    """Takes decoded blocks: counts them against the limits, mixes, resamples, and keeps only the mono result."""

    def __init__(self, limits: AudioLimits, target_rate: int | None, keep_seconds: float | None) -> None:
        self.limits = limits
        self.frames = 0
        self._target_rate = target_rate
        self._keep_seconds = keep_seconds
        self._rate = 0
        self._channels = 0
        self._claimed = 0.0
        self._stream: Any = None
        self._waiting: list[Samples] = []
        self._waiting_size = 0
        self._done: list[Samples] = []

    @property
    def full(self) -> bool:
        """Whether all that is kept has been decoded."""
        return self._keep_seconds is not None and 0 < self._rate * self._keep_seconds <= self.frames

    def open(self, rate: int, channels: int, claimed_frames: float) -> None:
        """Takes the header's claims, and refuses what they exclude; what is cut anyway may claim any length."""
        if not (MIN_RATE <= rate <= MAX_RATE and channels >= 1):
            raise BadRequest(
                f"the audio states {rate} Hz and {channels} channels; {MIN_RATE} to {MAX_RATE} Hz are read"
            )
        if self._keep_seconds is None:
            self.limits.check_length(claimed_frames, rate, channels)
        self._rate, self._channels, self._claimed = rate, channels, claimed_frames
        if self._target_rate not in {None, rate}:
            self._stream = soxr.ResampleStream(rate, self._target_rate, 1, dtype="float32", quality=QUALITY)

    def add(self, block: NDArray[Any], rate: int) -> None:
        """Takes one block, float [frames, channels], at its own rate (streams may change theirs)."""
        self.limits.check_time()
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused as a whole at the end
            mono = resample(to_mono(block), rate, self._rate)
        if self._keep_seconds is not None:
            mono = mono[: max(0, round(self._keep_seconds * self._rate) - self.frames)]
        self.frames += mono.size
        self.limits.check_length(self.frames, self._rate, max(self._channels, block.shape[1]))
        self._waiting.append(mono)
        self._waiting_size += mono.size
        if self._waiting_size >= BLOCK_VALUES:
            self._flush()

    def finish(self, container: str, as_declared: bool) -> DecodedAudio:
        """Closes the stream and checks the whole."""
        if self.frames == 0:
            raise BadRequest("the audio holds no samples")
        first = self._waiting[0][:1] if not self._done else self._done[0][:1]
        self._flush(last=True)
        samples = np.concatenate(self._done)
        if samples.size == 0:  # less than one sample at the target rate
            samples = first
        peak = float(np.abs(samples).max())
        if not np.isfinite(peak):
            raise BadRequest("the audio has samples that are not finite numbers")
        if peak > 1.0:
            samples /= np.float32(peak)
        rate = self._target_rate or self._rate
        return DecodedAudio(samples, rate, self._rate, self._channels, self._duration(), container, as_declared)

    def _duration(self) -> float:
        padding = self.frames - self._claimed
        frames = self._claimed if self._claimed > 0 and 0 <= padding <= PADDING_FRAMES else self.frames
        return frames / self._rate

    def _flush(self, *, last: bool = False) -> None:
        chunk = np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.float32)
        self._waiting, self._waiting_size = [], 0
        self._done.append(chunk if self._stream is None else self._stream.resample_chunk(chunk, last=last))
