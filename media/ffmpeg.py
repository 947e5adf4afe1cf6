"""Reads sound from memory by FFmpeg, held to the demuxers and decoders of :mod:`media.containers`."""

from __future__ import annotations

import ctypes
import ctypes.util
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from core.errors import BadRequest, ServiceError
from media.containers import CODECS, DEMUXERS, ESTIMATED_DURATION, UNKNOWN, container_name, sniff
from media.samples import AudioLimits, Sink

log = logging.getLogger("bundle.ffmpeg")

MAX_STREAMS = 32  # tracks in a container
MAX_ALLOCATION = 1 << 25  # bytes at once; the index of 600 s of AAC at 96 kHz has 1.4 MB

NOT_AUDIO = "the data is not audio in a known format (wav, flac, ogg, mp3, webm, m4a, aac)"
DAMAGED = "no sound could be decoded from the audio: it is empty or damaged"
NO_SOUND = "the file holds no sound track"


def _bound_allocations() -> None:
    """Forbids FFmpeg large allocations, for the whole process.

    An MP4 of some kilobytes can state an index of a hundred million samples, which FFmpeg would build: gigabytes. PyAV
    does not offer this setting, so it is made on the library that PyAV brings along (or on the system's, without one).
    """
    package = Path(av.__file__).parent
    found = [
        str(path) for folder in (package.parent / "av.libs", package / ".dylibs") for path in folder.glob("libavutil*")
    ]
    name = found[0] if found else ctypes.util.find_library("avutil")
    if name is None:
        log.warning("FFmpeg's memory cannot be bounded: its library was not found")
        return
    ctypes.CDLL(name).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION))


_bound_allocations()


class _Memory(io.BytesIO):
    """The bytes as a file which stops FFmpeg's probing, too, at the deadline."""

    def __init__(self, data: bytes, limits: AudioLimits) -> None:
        super().__init__(data)
        self._limits = limits

    def read(self, size: int | None = -1, /) -> bytes:
        self._limits.check_time()
        return super().read(size)


def _refuse_io(url: str, flags: int, options: dict[str, str]) -> Any:
    """FFmpeg asks to open another file or address that the container names: never."""
    raise BadRequest("the audio refers to other files")


def _open(data: bytes, limits: AudioLimits, demuxer: str | None) -> Any:
    options = {
        "format_whitelist": ",".join(DEMUXERS),
        "codec_whitelist": ",".join(CODECS),
        "protocol_whitelist": "none",
        "max_streams": str(MAX_STREAMS),
        "threads": "1",
    }
    return av.open(
        _Memory(data, limits),
        format=demuxer,
        container_options=options,
        metadata_errors="replace",
        io_open=_refuse_io,
    )


def _open_any(data: bytes, limits: AudioLimits, declared: str | None) -> Any:
    """Opens what FFmpeg recognises; the raw streams, which it may not, by what the caller says they are."""
    name = (declared or "").strip().lower()
    for demuxer in (None, name) if name in {"mp3", "aac"} else (None,):
        try:
            return _open(data, limits, demuxer)
        except ServiceError:
            raise
        except (av.FFmpegError, ValueError, OSError):
            continue
    raise BadRequest(NOT_AUDIO if sniff(data) == UNKNOWN else DAMAGED)


def read(data: bytes, sink: Sink, declared: str | None) -> str:
    """Feeds the sink by FFmpeg, and names the container."""
    with _open_any(data, sink.limits, declared) as container:
        stream = container.streams.best("audio")
        demuxer = container.format.name.split(",")[0]
        if demuxer not in DEMUXERS:
            raise BadRequest(NOT_AUDIO)
        if stream is None:
            raise BadRequest(NO_SOUND)
        if stream.codec_context is None or stream.codec_context.name not in CODECS:
            raise BadRequest("the sound track is in a codec that is not supported")
        _feed(container, stream, sink, claims_length=demuxer not in ESTIMATED_DURATION)
        return container_name(demuxer)


def _claimed_seconds(container: Any, stream: Any) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return float(container.duration) / av.time_base if container.duration else 0.0


def _feed(container: Any, stream: Any, sink: Sink, *, claims_length: bool) -> None:
    opened = False
    for frame in _frames(container, stream):
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if not opened:
            claimed = _claimed_seconds(container, stream) if claims_length else 0.0
            sink.open(rate, channels, claimed * rate)
            opened = True
        if frame.samples:
            sink.add(_to_float(frame), rate)
        if sink.full:
            return
    if not opened:
        raise BadRequest(DAMAGED)


def _frames(container: Any, stream: Any) -> Iterator[av.AudioFrame]:
    """Yields decoded frames; damaged packets are skipped, and a file of which most is damaged ends with an error."""
    good = bad = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except (av.FFmpegError, OSError, ValueError):
            break  # cut off in the middle of a packet or an index
        try:
            frames = packet.decode()
            good += bool(frames)
        except (av.FFmpegError, OSError, ValueError):
            bad += 1
            continue
        yield from frames
    if bad > good:
        raise BadRequest("the audio is damaged: most of it could not be decoded")


# PyAV finds the end of a frame's planes by a null pointer; FFmpeg's array of eight has none after it.
MAX_PLANES = 7


def _packed(frame: av.AudioFrame) -> av.AudioFrame:
    """Interleaves the channels of a frame with more planes than PyAV reads safely (it would read beyond the array)."""
    packer = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
    try:
        return packer.resample(frame)[0]
    except (av.FFmpegError, ValueError, IndexError):
        raise BadRequest(f"the layout of the audio's {frame.layout.nb_channels} channels is not supported") from None


_SCALES = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0}


def _to_float(frame: av.AudioFrame) -> NDArray[Any]:
    """Converts a frame of any sample format to float [samples, channels]."""
    if frame.format.is_planar and frame.layout.nb_channels > MAX_PLANES:
        frame = _packed(frame)
    values = frame.to_ndarray()
    by_channel = values if frame.format.is_planar else values.reshape(frame.samples, -1).T
    name = frame.format.packed.name
    if name in {"flt", "dbl"}:
        return by_channel.T
    scale = np.float32(1.0 / _SCALES[name])
    centred = by_channel.astype(np.float32) - np.float32(128.0 if name == "u8" else 0.0)
    return (centred * scale).T
