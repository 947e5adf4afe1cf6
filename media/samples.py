"""Decoded sound: its bounds, resampling, and the sink where decoders put their blocks.

Blocks are counted against the limits before anything is made of them, then mixed and resampled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from core import memory
from core.errors import BadRequest, PayloadTooLarge, TimedOut
from media.containers import mime_type
from media.downmix import BLOCK_VALUES, Downmix

Samples = NDArray[np.float32]
Mix = Callable[[NDArray[Any]], Samples]  # of blocks, float [frames, channels], to float32 [frames]

MIN_RATE = 100  # Hz; seismic and heart recorders go down to some hundred
MAX_RATE = 768_000  # Hz; the highest rate that converters offer
MAX_SAMPLES = 1 << 27  # all channels: 600 s of stereo at 96 kHz is 115 million; about 1 s of decoding
QUALITY = "HQ"  # of soxr: stop band below -120 dB, more than any 16-bit source has


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Bounds of one decoding.

    Attributes:
        max_seconds: Longest recording that is accepted.
        max_samples: Most values that are decoded, over all channels.
        deadline: Moment on the clock of ``time.monotonic`` at which decoding gives up, or None.
        on_length: Called in the decoding thread with the length that a recording claims, and with each that it reaches
            (seconds); what it raises ends the decoding.
    """

    max_seconds: float = 600.0
    max_samples: int = MAX_SAMPLES
    deadline: float | None = None
    on_length: Callable[[float], None] | None = None

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


def mixer(rate: int, channels: int) -> Mix:
    """What makes one channel of the blocks of a recording, one after the other.

    Args:
        rate: Of the recording (Hz).
        channels: Its channel count.
    """
    return Downmix(rate, channels).mix if channels > 1 else _only_channel


def _only_channel(block: NDArray[Any]) -> Samples:
    return np.ascontiguousarray(block[:, 0], dtype=np.float32)


PADDING_FRAMES = 4096  # codecs fill their last packet: two AAC frames at most are not part of the recording
MAX_PARTS = 256  # of different rate or channel count in one recording; each costs a new resampler


class Sink:
    """Takes decoded blocks and keeps only the mono result.

    A recording has parts, each with a rate and a channel count of its own: most have one, a chain of streams several.
    A decoder calls ``begin`` for each part, ``check`` before it makes anything of a number of frames, and ``add`` for
    the blocks that it makes of them.

    Memory: what is kept is 4 bytes x seconds x rate of the answer, and at the end twice that; beside it there are at
    any time some blocks of ``BLOCK_VALUES`` values. With the limits of the service (600 s at 16 kHz) that is 77 MB.
    """

    def __init__(self, limits: AudioLimits, target_rate: int | None, keep_seconds: float | None) -> None:
        self.limits = limits
        self.frames = 0  # of all parts
        self._answer_rate = target_rate or 0  # 0: that of the first part
        self._keep_seconds = keep_seconds
        self._format: tuple[int, int] | None = None  # rate (Hz) and channels of the first part
        self._parts = 0
        self._ended_s = 0.0  # length of the parts before the present one
        self._ended_values = 0
        self._stated_s = 0.0  # the same, as their headers say
        self._rate = self._channels = self._part_frames = 0
        self._claimed = 0.0
        self._stream: Any = None
        self._mix: Mix = _only_channel
        self._waiting: list[NDArray[Any]] = []
        self._waiting_values = 0
        self._done: list[Samples] = []

    @property
    def full(self) -> bool:
        """Whether all that is kept has been decoded."""
        return self._keep_seconds is not None and self._rate > 0 and self._frames_left() == 0

    def begin(self, rate: int, channels: int, claimed_frames: float = 0.0) -> None:
        """Begins a part, and refuses what its header's claims exclude; what is cut anyway may claim any length.

        Raises:
            BadRequest: A rate or channel count that no recording has, or too many parts.
            PayloadTooLarge: The claimed length is beyond the limits.
        """
        if not (MIN_RATE <= rate <= MAX_RATE and channels >= 1):
            raise BadRequest(
                f"the audio states {rate} Hz and {channels} channels; {MIN_RATE} to {MAX_RATE} Hz are read"
            )
        self._end_part()
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadRequest(f"the audio changes its sample rate or channels more than {MAX_PARTS} times")
        self._rate, self._channels, self._claimed, self._part_frames = rate, channels, claimed_frames, 0
        self._format = self._format or (rate, channels)
        self._answer_rate = self._answer_rate or rate
        self._mix = mixer(rate, channels)
        if self._keep_seconds is None:
            self.check(claimed_frames)
        elif self.limits.on_length is not None:
            self.limits.on_length(min(self._keep_seconds, self._ended_s + claimed_frames / rate))
        self._stream = None
        if self._answer_rate != rate:
            self._stream = soxr.ResampleStream(rate, self._answer_rate, 1, dtype="float32", quality=QUALITY)

    def check(self, frames: float) -> None:
        """Checks what the present part would be with so many further frames, before they are made.

        Raises:
            PayloadTooLarge: More than allowed.
            TimedOut: The deadline has passed.
            ServiceError: As ``AudioLimits.on_length``.
        """
        self.limits.check_time()
        if self._keep_seconds is not None:
            frames = min(frames, self._frames_left())
        part = self._part_frames + frames
        seconds, values = self._ended_s + part / self._rate, self._ended_values + part * self._channels
        self.limits.check_length(seconds, values, self._answer_rate)
        if self.limits.on_length is not None:
            self.limits.on_length(seconds)

    def add(self, block: NDArray[Any]) -> None:
        """Takes one block of the present part, float [frames, channels], that was checked."""
        if self._keep_seconds is not None:
            block = block[: self._frames_left()]
        self.frames += len(block)
        self._part_frames += len(block)
        self._waiting.append(block)
        self._waiting_values += block.size
        if self._waiting_values >= BLOCK_VALUES:
            self._flush()

    def finish(self, container: str, as_declared: bool) -> DecodedAudio:
        """Closes the stream and checks the whole.

        Raises:
            BadRequest: No samples, or samples that are not finite numbers.
        """
        if self.frames == 0 or self._format is None:
            raise BadRequest("the audio holds no samples")
        self._end_part()
        with memory.holding(sum(chunk.nbytes for chunk in self._done)):
            samples = np.concatenate(self._done)
            self._done.clear()
        peak = max(float(samples.max()), -float(samples.min()))
        if not np.isfinite(peak):
            raise BadRequest("the audio has samples that are not finite numbers")
        if peak > 1.0:
            samples /= np.float32(peak)
        return DecodedAudio(samples, self._answer_rate, *self._format, self._stated_s, container, as_declared)

    def _frames_left(self) -> int:
        wanted = ((self._keep_seconds or 0.0) - self._ended_s) * self._rate
        return max(0, round(wanted) - self._part_frames)

    def _end_part(self) -> None:
        if not self._rate:
            return
        self._flush(last=True)
        padding = self._part_frames - self._claimed
        stated = self._claimed if self._claimed > 0 and 0 <= padding <= PADDING_FRAMES else self._part_frames
        self._stated_s += stated / self._rate
        self._ended_s += self._part_frames / self._rate
        self._ended_values += self._part_frames * self._channels
        self._rate = 0

    def _flush(self, *, last: bool = False) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused as a whole at the end
            mono = self._mix(np.concatenate(self._waiting)) if self._waiting else np.zeros(0, np.float32)
        self._waiting, self._waiting_values = [], 0
        if self._stream is None:
            self._keep([mono])
            return
        made = [self._stream.resample_chunk(piece, last=False) for piece in self._pieces(mono)]
        if last:
            made.append(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
            if self.frames and not any(chunk.size for chunk in (*self._done, *made)):
                made.append(mono[:1])  # less than one sample at the rate of the answer
        self._keep(made)

    def _keep(self, made: list[Samples]) -> None:
        memory.hold(sum(chunk.nbytes for chunk in made))
        self._done += made

    def _pieces(self, mono: Samples) -> Iterator[Samples]:
        """Cuts a block such that none of its pieces is more than a block at the rate of the answer."""
        size = max(1, BLOCK_VALUES * self._rate // max(self._rate, self._answer_rate))
        for start in range(0, mono.size, size):
            yield mono[start : start + size]
