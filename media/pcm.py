"""Raw PCM, as a stethoscope sends it, to WAV and to samples, with an amplification that never distorts."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import BadRequest
from media.downmix import BLOCK_VALUES
from media.samples import MAX_RATE, MIN_RATE, AudioLimits, DecodedAudio, Samples, Sink

Integers = NDArray[np.int32]

MAX_CHANNELS = 256  # far beyond any recorder; the byte rate still fits the 32 bits of a WAV header
WIDTHS = (1, 2, 3, 4)  # bytes of one sample
STREAM_SCALE = np.float32(1 / 32768)  # of 16 bits


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """How raw PCM is laid out: little-endian, channels interleaved, signed but for one byte (as in WAV).

    Attributes:
        sample_rate: Samples per second (Hz).
        num_channels: Number of channels.
        sample_width: Bytes of one sample: 1, 2, 3 or 4.

    Raises:
        BadRequest: A value is out of range.
    """

    sample_rate: int = 16_000
    num_channels: int = 1
    sample_width: int = 2

    def __post_init__(self) -> None:
        """Checks each value."""
        if not MIN_RATE <= self.sample_rate <= MAX_RATE:
            raise BadRequest(f"sample_rate must be from {MIN_RATE} to {MAX_RATE} Hz, got {self.sample_rate}")
        if not 1 <= self.num_channels <= MAX_CHANNELS:
            raise BadRequest(f"num_channels must be from 1 to {MAX_CHANNELS}, got {self.num_channels}")
        if self.sample_width not in WIDTHS:
            raise BadRequest(f"sample_width must be 1, 2, 3 or 4 bytes, got {self.sample_width}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.num_channels * self.sample_width

    def frames(self, data: bytes) -> int:
        """Counts the frames of raw PCM.

        Raises:
            BadRequest: There are none, or the last one is not whole.
        """
        if not data:
            raise BadRequest("No audio data received")
        if len(data) % self.frame_bytes:
            raise BadRequest(
                f"{len(data)} bytes are not a whole number of frames of {self.num_channels} channel(s) "
                f"with {self.sample_width} byte(s) each"
            )
        return len(data) // self.frame_bytes

    @property
    def full_scale(self) -> int:
        """Largest negative value: 2^(bits - 1); the largest positive one is one less."""
        return 1 << (8 * self.sample_width - 1)


def pcm_to_wav(
    pcm_data: bytes,
    sample_rate: int = 16_000,
    num_channels: int = 1,
    sample_width: int = 2,
    amplification_factor: float = 10.0,
) -> bytes:
    """Wraps raw PCM into a WAV file, amplified as far as its loudest sample leaves room.

    Args:
        pcm_data: Little-endian interleaved PCM; signed, but for a width of 1, which is unsigned as in WAV.
        sample_rate: Samples per second (Hz).
        num_channels: Number of channels.
        sample_width: Bytes of one sample: 1, 2, 3 or 4.
        amplification_factor: Gain wanted; less is applied where the loudest sample would pass full scale.

    Returns:
        A WAV file of the same layout.

    Raises:
        BadRequest: No data, not whole frames, or an argument out of range.
    """
    layout = PcmFormat(sample_rate, num_channels, sample_width)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((num_channels, sample_width, sample_rate, 0, "NONE", "not compressed"))
        for louder in _amplified(pcm_data, amplification_factor, layout):
            file.writeframesraw(_pack(louder, sample_width))
    return out.getvalue()


def decode(
    pcm_data: bytes, layout: PcmFormat, amplification_factor: float, limits: AudioLimits, target_rate: int
) -> DecodedAudio:
    """Turns raw PCM into what decoding the result of :func:`pcm_to_wav` gives, without the way through a file.

    Args:
        pcm_data: Little-endian interleaved PCM.
        layout: How it is laid out.
        amplification_factor: Gain wanted, limited by the headroom.
        limits: Of its length.
        target_rate: Rate of the answer (Hz).

    Returns:
        The recording, mono, in [-1, 1].

    Raises:
        BadRequest: No data, not whole frames, or a factor out of range.
        PayloadTooLarge: Longer than the limits.
    """
    limits.check_time()
    sink = Sink(limits, target_rate, None)
    sink.begin(layout.sample_rate, layout.num_channels, layout.frames(pcm_data))
    scale = np.float32(1 / layout.full_scale)
    for louder in _amplified(pcm_data, amplification_factor, layout):
        block = louder.reshape(-1, layout.num_channels) * scale
        sink.check(len(block))
        sink.add(block)
    return sink.finish("wav", True)


class PcmStream:
    """Signed 16-bit little-endian samples, mono, that arrive in pieces of any size.

    Args:
        rate: Of the samples (Hz).
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._odd = b""  # half of a sample, whose other half comes with the next piece

    def feed(self, data: bytes) -> Iterator[Samples]:
        """Takes bytes, and yields float32 [at most a second] in [-1, 1)."""
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        for start in range(0, whole, 2 * self.rate):
            yield (
                np.frombuffer(data[start : min(start + 2 * self.rate, whole)], "<i2").astype(np.float32) * STREAM_SCALE
            )

    def finish(self) -> Iterator[Samples]:
        """Nothing: every sample was given at once."""
        return iter(())


def _amplified(data: bytes, factor: float, layout: PcmFormat) -> Iterator[Integers]:
    """Yields the values block by block, int32 [frames * channels], amplified and rounded.

    Each value takes many times its bytes on the way; a block at a time keeps that small.

    Raises:
        BadRequest: No data, not whole frames, or a factor out of range.
    """
    layout.frames(data)
    if not (math.isfinite(factor) and factor > 0):
        raise BadRequest(f"amplification_factor must be a number above 0, got {factor}")
    gain = min(float(factor), *(_headroom(values, layout.full_scale) for values in _blocks(data, layout)))
    for values in _blocks(data, layout):
        louder = np.rint(values * gain)
        yield np.clip(louder, -layout.full_scale, layout.full_scale - 1).astype(np.int32)


def _blocks(data: bytes, layout: PcmFormat) -> Iterator[Integers]:
    size = max(1, BLOCK_VALUES // layout.num_channels) * layout.frame_bytes
    for start in range(0, len(data), size):
        yield _unpack(data[start : start + size], layout)


def _unpack(data: bytes, layout: PcmFormat) -> Integers:
    """Reads whole frames, int32 [frames * channels], zero in the middle."""
    if layout.sample_width == 1:
        return np.frombuffer(data, np.uint8).astype(np.int32) - 128
    if layout.sample_width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0] >> 8  # from the upper three bytes, so that the sign comes along
    return np.frombuffer(data, f"<i{layout.sample_width}").astype(np.int32)


def _pack(values: Integers, width: int) -> bytes:
    if width == 1:
        return (values + 128).astype(np.uint8).tobytes()
    if width == 3:
        return values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return values.astype(f"<i{width}").tobytes()


def _headroom(values: Integers, full_scale: int) -> float:
    """Largest gain at which neither the highest nor the lowest value passes full scale; at least 1."""
    highest, lowest = int(values.max()), int(values.min())
    above = (full_scale - 1) / highest if highest > 0 else math.inf
    below = full_scale / -lowest if lowest < 0 else math.inf
    return min(above, below)
