"""The one decoder: untrusted bytes of any audio container become mono float32 samples.

libsndfile reads WAV, Wave64 and FLAC (several times faster than FFmpeg for short clips), FFmpeg (PyAV) everything else
and whatever libsndfile refuses; measured, it is twice as fast on Opus. FFmpeg is held to the demuxers and decoders of
``media.containers``. Nothing touches the disk or the network.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from core.errors import BadRequest, ServiceError
from media.containers import (
    BY_LIBSNDFILE,
    CODECS,
    DAMAGED,
    DEMUXERS,
    NOT_AUDIO,
    SELF_DESCRIBED,
    UNKNOWN,
    check_vorbis,
    is_declared,
    most_tracks,
    ogg_links,
    sniff,
    without_tags,
)
from media.downmix import BLOCK_VALUES
from media.matroska import check_matroska
from media.samples import AudioLimits, DecodedAudio, Samples, Sink
from media.searched_file import SearchedFile
from media.signatures import not_sound

__all__ = ["AudioLimits", "DecodedAudio", "Samples", "decode"]

log = logging.getLogger("bundle.ffmpeg")

MAX_ALLOCATION = 1 << 24  # bytes at once; the index of 600 s of AAC at 96 kHz has 1.4 MB, a cover picture some
MAX_FRAME_VALUES = 1 << 22  # over all channels; the longest frames, of 255 channels of Opus, have 1.5 million
MOST_DAMAGED = 50  # packets beside as many as were good
PROBE_BYTES = 1 << 20  # of a file before its sound is decoded: FFmpeg keeps these packets, 500 bytes and more for each
# Each packet costs some microseconds, however little is in it. QuickTime's ADPCM has 1500 a second at 96 kHz; the
# free ones are enough for sound of any rate in packets of 4 KB.
FREE_PACKETS, PACKETS_A_SECOND = 10_000, 2000
PROBED = CODECS - {"vorbis"}  # decoders that may be opened before their headers were checked

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


def _refuse_io(url: str, flags: int, options: dict[str, str]) -> Any:
    """FFmpeg asks to open another file or address that the container names: never."""
    raise BadRequest("the audio refers to other files")


def _open(data: bytes, memory: SearchedFile, demuxer: str | None) -> Any:
    memory.seek(0)
    options = {
        "format_whitelist": ",".join(DEMUXERS),
        "codec_whitelist": ",".join(PROBED),
        "protocol_whitelist": "none",
        "probesize": str(PROBE_BYTES),
        "max_streams": str(most_tracks(data)),
        "threads": "1",
    }
    return av.open(
        memory,
        format=demuxer,
        container_options=options,
        metadata_errors="replace",
        io_open=_refuse_io,
    )


def _open_any(data: bytes, memory: SearchedFile, declared: str | None) -> Any:
    """Opens what FFmpeg recognises; the raw streams, which it may not, by what the caller says they are."""
    name = (declared or "").strip().lower()
    for demuxer in (None, name) if name in {"mp3", "aac"} else (None,):
        try:
            return _open(data, memory, demuxer)
        except ServiceError:
            raise
        except (av.FFmpegError, ValueError, OSError):
            continue
    raise BadRequest(NOT_AUDIO if sniff(data) == UNKNOWN else DAMAGED)


def _read_ffmpeg(data: bytes, sink: Sink, declared: str | None) -> str:
    """Feeds the sink by FFmpeg, and names the container."""
    if sniff(data) == "webm":
        check_matroska(data)
    memory = SearchedFile(data, sink.limits)
    with _open_any(data, memory, declared) as container:
        stream = container.streams.best("audio")
        found = DEMUXERS.get(container.format.name.split(",")[0])
        if found is None:
            raise BadRequest(NOT_AUDIO)
        if stream is None:
            raise BadRequest(NO_SOUND)
        if stream.codec_context is None or stream.codec_context.name not in CODECS:
            raise BadRequest("the sound track is in a codec that is not supported")
        if stream.codec_context.name == "vorbis":
            check_vorbis(stream.codec_context.extradata or b"")
        _feed(container, stream, sink, memory, claims_length=found.states_duration)
        return found.name


def _claimed_seconds(container: Any, stream: Any) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return float(container.duration) / av.time_base if container.duration else 0.0


def _feed(container: Any, stream: Any, sink: Sink, memory: SearchedFile, *, claims_length: bool) -> None:
    part: tuple[int, int] | None = None
    for frame in _frames(container, stream, sink.limits, memory):
        found = (frame.sample_rate, frame.layout.nb_channels)
        if part is None:
            sink.begin(*found, _claimed_seconds(container, stream) * found[0] if claims_length else 0.0)
        elif found != part:
            if stream.codec_context.name not in SELF_DESCRIBED:
                raise BadRequest("the audio is damaged: its sample rate or its channels change on the way")
            sink.begin(*found)
        part = found
        if frame.samples:
            if frame.samples * found[1] > MAX_FRAME_VALUES:
                raise BadRequest("the audio is damaged: it has a packet of millions of samples")
            sink.check(frame.samples)
            for block in blocks(frame):
                sink.add(block)
        if sink.full:
            return
    if part is None:
        raise BadRequest(DAMAGED)


def _frames(container: Any, stream: Any, limits: AudioLimits, memory: SearchedFile) -> Iterator[av.AudioFrame]:
    """Yields decoded frames; damaged packets are skipped, and a file of which most is damaged ends with an error."""
    good = bad = 0
    packets_left = float(FREE_PACKETS)
    vorbis = stream.codec_context.name == "vorbis"
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except (av.FFmpegError, OSError, ValueError):
            break  # cut off in the middle of a packet or an index
        limits.check_time()
        memory.found_sound()
        packets_left -= 1
        if packets_left < 0:
            raise BadRequest("the audio is damaged: there is hardly any sound in its packets")
        if vorbis:
            _check_packet(packet)
        try:
            frames = packet.decode()
            good += bool(frames)
        except (av.FFmpegError, OSError, ValueError):
            bad += 1
            if bad > good + MOST_DAMAGED:
                break
            continue
        packets_left += PACKETS_A_SECOND * sum(frame.samples / max(1, frame.sample_rate) for frame in frames)
        yield from frames
    if bad > good:
        raise BadRequest("the audio is damaged: most of it could not be decoded")


def _check_packet(packet: Any) -> None:
    """Checks the headers that a Vorbis stream may bring later on; sound begins with a bit of zero."""
    if packet.size and memoryview(packet)[0] & 1:
        check_vorbis(bytes(packet))
    if packet.has_sidedata("new_extradata"):
        check_vorbis(bytes(packet.get_sidedata("new_extradata")))


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


def blocks(frame: av.AudioFrame) -> Iterator[NDArray[Any]]:
    """Converts a frame of any sample format to float [samples, channels], bit by bit: a frame may have millions."""
    if frame.format.is_planar and frame.layout.nb_channels > MAX_PLANES:
        frame = _packed(frame)
    values = frame.to_ndarray()
    interleaved = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    size = max(1, BLOCK_VALUES // interleaved.shape[1])
    for start in range(0, len(interleaved), size):
        yield _to_float(interleaved[start : start + size], frame.format.packed.name)


def _to_float(values: NDArray[Any], name: str) -> NDArray[Any]:
    if name in {"flt", "dbl"}:
        return values
    centred = values.astype(np.float32) - np.float32(128.0 if name == "u8" else 0.0)
    return centred * np.float32(1.0 / _SCALES[name])


UNKNOWN_FRAMES = 1 << 60  # libsndfile says "about 2^63" for a stream of unknown length


def decode(
    data: bytes,
    *,
    limits: AudioLimits,
    declared_format: str | None = None,
    target_rate: int | None = None,
    keep_seconds: float | None = None,
) -> DecodedAudio:
    """Decodes a recording to mono.

    A truncated recording is accepted as far as it decodes. Samples beyond full scale (float files, lossy codecs that
    overshoot) scale the whole clip to a peak of 1, so that nothing is clipped.

    Args:
        data: The file's bytes.
        limits: Bounds, enforced on what the header claims and on what is decoded.
        declared_format: Container that the caller named; a hint for bytes that cannot be told otherwise.
        target_rate: Rate of the answer (Hz); resampled while decoding, so that memory follows this rate.
        keep_seconds: Decoding stops after this much; a longer recording is cut, whatever length its header claims.

    Returns:
        The recording.

    Raises:
        BadRequest: Not audio, damaged, without sound track or samples, or with samples that are not finite numbers.
        PayloadTooLarge: Longer than the limits.
        TimedOut: The deadline passed.
    """
    if not data:
        raise BadRequest("the audio is empty")
    limits.check_time()
    data = without_tags(data)
    if kind := not_sound(data):
        raise BadRequest(f"{NOT_AUDIO}: it is {kind}")
    found = sniff(data)
    sink = Sink(limits, target_rate, keep_seconds)
    if found not in BY_LIBSNDFILE or not _read_sndfile(data, sink):
        found = (
            _read_links(data, sink, declared_format) if found == "ogg" else _read_ffmpeg(data, sink, declared_format)
        )
    as_declared = declared_format is None or is_declared(found, declared_format)
    return sink.finish(found, as_declared)


def _read_links(data: bytes, sink: Sink, declared: str | None) -> str:
    """Feeds the sink by FFmpeg, link by link; a last one that was cut off before its first sound does not count."""
    first, *others = ogg_links(data)
    found = _read_ffmpeg(first, sink, declared)
    for link in others:
        if sink.full:
            break
        before = sink.frames
        try:
            _read_ffmpeg(link, sink, declared)
        except BadRequest:
            if link is not others[-1] or sink.frames > before:
                raise
    return found


def _read_sndfile(data: bytes, sink: Sink) -> bool:
    """Feeds the sink by libsndfile; False when it cannot read the file at all."""
    memory = SearchedFile(data, sink.limits)
    try:
        file = soundfile.SoundFile(memory)
    except (soundfile.SoundFileError, ValueError, TypeError):
        memory.check()
        return False
    with file:
        memory.check()
        claimed = file.frames if 0 <= file.frames < UNKNOWN_FRAMES else 0
        sink.begin(file.samplerate, file.channels, claimed)
        size = max(1, BLOCK_VALUES // file.channels)
        try:
            while not sink.full and len(block := file.read(size, dtype="float32", always_2d=True)):
                memory.found_sound()
                sink.check(len(block))
                sink.add(block)
        except soundfile.SoundFileError:
            return sink.frames > 0  # cut or damaged later on: what came before counts
    return sink.frames > 0
