"""Makes real audio files in memory, in every container of the contract."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from media.audio import AudioLimits, DecodedAudio, decode

Signal = NDArray[np.float32]

VOICE = Path(__file__).parents[1] / "data" / "voices" / "male_1.flac"
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}

# the contract's name -> (FFmpeg muxer, encoder)
ENCODERS = {
    "mp3": ("mp3", "libmp3lame"),
    "wav": ("wav", "pcm_s16le"),
    "webm": ("webm", "libopus"),
    "ogg": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
}


def tone(rate: int, seconds: float = 1.0, channels: int = 1, amplitude: float = 0.5) -> Signal:
    """A sine at a fortieth of the rate, float32 [frames, channels]."""
    wave = amplitude * np.sin(2 * np.pi / 40 * np.arange(round(rate * seconds)))
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def speech(seconds: float) -> Signal:
    """A man reading, again and again for so long, float32 [frames, 1] at 16 kHz."""
    samples, rate = soundfile.read(VOICE, dtype="float32")
    assert rate == 16_000
    return np.resize(np.asarray(samples, np.float32), (round(seconds * rate), 1))


def encode(name: str, signal: Signal, rate: int, options: Mapping[str, str] | None = None) -> bytes:
    """Encodes a signal by FFmpeg into a container named as in the contract."""
    return mux(*ENCODERS[name], signal, rate, options)


def mux(muxer: str, encoder: str, signal: Signal, rate: int, options: Mapping[str, str] | None = None) -> bytes:
    """Encodes float32 [frames, channels] into any container that FFmpeg writes."""
    out = io.BytesIO()
    with av.open(out, "w", format=muxer, options=dict(options or {})) as container:
        add_track(container, encoder, signal, rate)
    return out.getvalue()


def add_track(container: Any, encoder: str, signal: Signal, rate: int) -> None:
    """Writes one sound track into an open container."""
    stream = container.add_stream(encoder, rate=rate)
    stream.layout = LAYOUTS[signal.shape[1]]
    fill_track(container, stream, signal, rate)


def fill_track(container: Any, stream: Any, signal: Signal, rate: int) -> None:
    """Writes the samples of a sound track."""
    for start in range(0, len(signal), rate):
        block = np.ascontiguousarray(signal[start : start + rate].reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=stream.layout.name)
        frame.sample_rate, frame.pts = rate, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def wav(signal: NDArray[Any], rate: int, subtype: str = "PCM_16", container: str = "WAV") -> bytes:
    """Writes a WAV file of any sample format by libsndfile."""
    out = io.BytesIO()
    soundfile.write(out, signal, rate, subtype=subtype, format=container)
    return out.getvalue()


def film(*, sound: bool, rate: int = 48_000) -> bytes:
    """A WebM film of half a second, with or without a sound track."""
    out = io.BytesIO()
    with av.open(out, "w", format="webm") as container:
        pictures: Any = container.add_stream("libvpx", rate=10)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        if sound:
            track: Any = container.add_stream("libopus", rate=rate)
            track.layout = "mono"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if sound:
            fill_track(container, track, tone(rate, 0.5), rate)
    return out.getvalue()


def decoded(data: bytes, **options: float | str | None) -> DecodedAudio:
    """What the decoder makes of a file, within the usual limits."""
    return decode(data, limits=AudioLimits(), **options)  # type: ignore[arg-type]
