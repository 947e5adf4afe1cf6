"""Round trips through lossy codecs: slow enough (10-30 ms a clip) to be done once, before training."""

from __future__ import annotations

import io
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Codec = tuple[str, int]  # PyAV encoder, bit/s

SAMPLE_RATE = 16_000  # Hz
SHORTEST = 3_200  # samples (200 ms); some encoders write nothing for less, so shorter clips are padded while encoded
CONTAINERS = {"libmp3lame": "mp3", "libopus": "ogg", "aac": "adts"}
BIT_RATES = {
    "libmp3lame": (16_000, 24_000, 32_000, 48_000, 64_000, 128_000),
    "libopus": (8_000, 12_000, 16_000, 24_000, 48_000),
    "aac": (16_000, 24_000, 32_000, 48_000, 96_000),
}
CODECS: tuple[Codec, ...] = tuple((name, rate) for name, rates in BIT_RATES.items() for rate in rates)


def codec_round_trip(audio: Audio, codec: Codec, sample_rate: int = SAMPLE_RATE) -> Audio:
    """Encodes and decodes a clip, as a sender with a lossy format does.

    Args:
        audio: float32 [samples] in [-1, 1] at ``sample_rate``.
        codec: Encoder and bit rate, as in ``CODECS``.
        sample_rate: Hz, of the audio given and returned.

    Returns:
        float32 [samples]: as long as the original, and within the encoder's delay of it.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=CONTAINERS[codec[0]]) as container:
        stream = cast(AudioStream, container.add_stream(codec[0], rate=sample_rate, layout="mono"))
        stream.bit_rate = codec[1]
        padded = np.pad(np.clip(audio, -1.0, 1.0), (0, max(0, SHORTEST - audio.size)))
        frame = av.AudioFrame.from_ndarray(padded[None], format="fltp", layout="mono")
        frame.sample_rate = sample_rate
        stream.codec_context.open()
        resampler = av.AudioResampler(stream.format, "mono", sample_rate, stream.frame_size or 960)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(piece))
    decoded = _decode(file, sample_rate)
    return np.pad(decoded[: audio.size], (0, max(0, audio.size - decoded.size)))


def _decode(file: io.BytesIO, sample_rate: int) -> Audio:
    file.seek(0)
    resampler = av.AudioResampler("fltp", "mono", sample_rate)
    with av.open(file, "r") as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32, copy=False)
