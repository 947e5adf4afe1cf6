"""The latest window of live sound, at the rate of the model that is asked about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from core.errors import PayloadTooLarge
from media.samples import QUALITY, DecodedAudio, Samples
from models.spec import AudioInput

EVERY_S = 1.0  # an answer for so much new sound


class Source(Protocol):
    """What makes samples of the bytes of a stream.

    Attributes:
        rate: Of the samples (Hz).
    """

    rate: int

    def feed(self, data: bytes) -> Iterator[Samples]:
        """Takes bytes, and yields float32 [at most a second] as soon as there is so much.

        Raises:
            ServiceError: The bytes are not what was stated.
        """

    def finish(self) -> Iterator[Samples]:
        """What is left.

        Raises:
            ServiceError: There was no sound at all.
        """


class LiveSound:
    """The sound of one stream, of which the latest window is kept.

    Args:
        source: What makes samples of what comes in.
        kind: Of the model: its rate, and the length of the window.
        longest_s: Of all sound (seconds).

    Attributes:
        rate: Of the model (Hz).
        size: Longest window (samples).
    """

    def __init__(self, source: Source, kind: AudioInput, longest_s: float) -> None:
        self.rate = kind.sample_rate
        self.size = round(kind.window_s * self.rate)
        self._source = source
        self._longest_s = longest_s
        self._resampler = soxr.ResampleStream(source.rate, self.rate, 1, dtype="float32", quality=QUALITY)
        self._window: NDArray[np.float32] = np.zeros(0, np.float32)
        self._received = 0  # samples at the model's rate
        self._answered = 0
        self._due = EVERY_S * self.rate  # the next answer is given when so many samples have been received

    def feed(self, data: bytes) -> Iterator[Samples]:
        """Decodes what came in, at most a second at a time, for ``add``.

        Raises:
            ServiceError: As the source.
        """
        for chunk in self._source.feed(data):
            yield self._resampler.resample_chunk(chunk, last=False)

    def finish(self) -> Iterator[Samples]:
        """Decodes what is left, for ``add``.

        Raises:
            ServiceError: As the source.
        """
        for chunk in self._source.finish():
            yield self._resampler.resample_chunk(chunk, last=False)
        yield self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)

    def add(self, more: Samples) -> None:
        """Moves the window on.

        Args:
            more: Samples, float32 [n] at the model's rate.

        Raises:
            PayloadTooLarge: There is more sound than is allowed.
        """
        self._received += more.size
        if self._received > self._longest_s * self.rate:
            raise PayloadTooLarge(f"the stream is longer than {self._longest_s:g} seconds")
        self._window = np.concatenate([self._window, np.clip(more, -1.0, 1.0)])[-self.size :]

    @property
    def is_due(self) -> bool:
        """Whether a second of sound has come in since the last answer was due."""
        return self._received >= self._due

    @property
    def has_more(self) -> bool:
        """Whether any sound has come in since the last answer."""
        return self._received > self._answered

    def take(self) -> tuple[DecodedAudio, float]:
        """Gives the window, and where it ends in the stream (seconds); the next one is due a second later."""
        self._answered = self._received
        every = EVERY_S * self.rate
        self._due = every * (self._received // every + 1)
        length_s = self._window.size / self.rate
        audio = DecodedAudio(self._window, self.rate, self._source.rate, 1, length_s, container="pcm")
        return audio, self._received / self.rate
