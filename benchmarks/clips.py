"""What the clients send: real recordings of the tests, joined and cut to mixed lengths, and real portraits."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

DATA = Path(__file__).parent.parent / "tests" / "data"
RATE = 16_000  # Hz, of all of them
SHORTEST_S, LONGEST_S = 1.0, 15.0
BOUNDARY = "benchmark"
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class Body:
    """One request body.

    Attributes:
        form: The multipart form, ready to be sent.
        file: The file in it.
    """

    form: bytes
    file: bytes

    @property
    def content_type(self) -> str:
        """The form's content type."""
        return f"multipart/form-data; boundary={BOUNDARY}"


def form(key: str, name: str, file: bytes) -> bytes:
    """A form with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"; filename="{name}"\r\n\r\n'
    return head.encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()


def lengths(count: int) -> NDArray[np.float64]:
    """Mixed lengths (seconds): as many between 1 and 2 s as between 7.5 and 15 s, as short ones are common.

    Any part of the sequence is as mixed as the whole (steps of the golden ratio): a slow server, which sees only the
    first ones, gets no easier work.
    """
    places = np.arange(1, count + 1) * GOLDEN % 1
    return np.asarray(SHORTEST_S * (LONGEST_S / SHORTEST_S) ** places)


def speech() -> NDArray[np.float32]:
    """All speech of ``tests/data/voices``, float32 [samples] at ``RATE``."""
    parts = []
    for path in sorted((DATA / "voices").glob("*.flac")):
        samples, rate = soundfile.read(path, dtype="float32")
        if rate != RATE:
            raise ValueError(f"{path.name} has {rate} Hz")
        parts.append(samples)
    return np.concatenate(parts)


def recording(seconds: float, start: int = 0) -> bytes:
    """A WAV file of a length, from real speech joined end to end."""
    wanted = np.take(speech(), np.arange(start, start + round(seconds * RATE)), mode="wrap")
    out = io.BytesIO()
    soundfile.write(out, wanted, RATE, format="WAV", subtype="PCM_16")
    return out.getvalue()


def voices(count: int, seed: int = 0) -> list[Body]:
    """Recordings of mixed lengths."""
    starts = np.random.default_rng(seed).integers(0, speech().size, count)
    pairs = zip(lengths(count), starts, strict=True)
    files = [recording(seconds, int(start)) for seconds, start in pairs]
    return [Body(form("audio", "voice.wav", file), file) for file in files]


def faces() -> list[Body]:
    """Portraits with a face each."""
    paths = [path for path in sorted((DATA / "faces").glob("*.jpg")) if path.stem != "no_face"]
    return [Body(form("image", path.name, path.read_bytes()), path.read_bytes()) for path in paths]
