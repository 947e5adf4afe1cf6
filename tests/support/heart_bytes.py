"""Heart sounds as tests send them, made of two thumps a beat, and how they are sent."""

from __future__ import annotations

import httpx
import numpy as np

JSON = {"accept": "application/json"}


def heartbeat(rate: int = 16_000, seconds: float = 4.0, level: float = 0.02) -> np.ndarray:
    """Two thumps of 50 Hz a beat, 72 beats a minute; float64 [samples]."""
    time = np.arange(round(rate * seconds)) / rate
    phase = time % (60 / 72)
    first, second = (np.exp(-(((phase - at) / 0.03) ** 2)) for at in (0.05, 0.38))
    noise = np.random.default_rng(0).standard_normal(time.size) * 0.001
    return level * ((first + 0.7 * second) * np.sin(2 * np.pi * 50 * time) + noise)


def pcm(samples: np.ndarray, width: int = 2, channels: int = 1) -> bytes:
    """Little-endian PCM of any width; one byte is unsigned, as in WAV."""
    values = np.rint(np.clip(samples, -1, 1) * ((1 << (8 * width - 1)) - 1)).astype(np.int64)
    values = np.repeat(values, channels)
    if width == 1:
        return (values + 128).astype(np.uint8).tobytes()
    return values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()


def upload(client: httpx.Client, body: bytes, **parameters: object) -> httpx.Response:
    return client.post("/upload_audio", content=body, params={k: str(v) for k, v in parameters.items()}, headers=JSON)
