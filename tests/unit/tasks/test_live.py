"""The latest window of live sound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from core.errors import PayloadTooLarge
from media.pcm import PcmStream
from media.samples import Samples
from models.spec import AudioInput
from tasks.live import LiveSound

RATE, WINDOW_S, LONGEST_S = 8000, 2.5, 6.0


def live(rate: int = RATE) -> LiveSound:
    return LiveSound(PcmStream(rate), AudioInput(RATE, WINDOW_S), LONGEST_S)


def tone(seconds: float, rate: int = RATE) -> bytes:
    samples = 8000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return samples.astype("<i2").tobytes()


def added(sound: LiveSound, chunks: Iterator[Samples]) -> list[float]:
    """Adds what comes, takes the window whenever it is due, and gives the moments."""
    ends = []
    for chunk in chunks:
        sound.add(chunk)
        if sound.is_due:
            ends.append(sound.take()[1])
    return ends


def test_an_answer_is_due_for_each_second_of_sound() -> None:
    sound = live(2 * RATE)
    ends = [end for _ in range(40) for end in added(sound, sound.feed(tone(0.1, 2 * RATE)))]
    ends += added(sound, sound.finish())
    assert ends == pytest.approx([1, 2, 3, 4], abs=0.15)
    assert not sound.has_more


def test_the_window_is_the_latest_sound() -> None:
    sound = live()
    data = tone(1.0) + bytes(2 * 2 * RATE) + tone(1.0)
    added(sound, sound.feed(data))
    added(sound, sound.finish())
    audio, end = sound.take()
    assert (end, audio.duration_s, audio.samples_rate) == (4.0, WINDOW_S, RATE)
    quiet = round((WINDOW_S - 1.0) * RATE)
    assert np.abs(audio.samples[: quiet - 100]).max() < 1e-3
    assert np.abs(audio.samples[quiet:]).max() == pytest.approx(8000 / 32768, rel=0.05)


def test_what_is_left_at_the_end_is_no_second() -> None:
    sound = live(2 * RATE)
    assert added(sound, sound.feed(tone(0.4, 2 * RATE))) == []
    assert added(sound, sound.finish()) == []
    assert sound.has_more
    audio, end = sound.take()
    assert (end, audio.samples.size) == (0.4, round(0.4 * RATE))  # with what the resampler had kept
    assert not sound.has_more


def test_more_sound_than_is_allowed() -> None:
    sound = live()
    added(sound, sound.feed(tone(LONGEST_S)))
    with pytest.raises(PayloadTooLarge, match="longer than 6 seconds"):
        added(sound, sound.feed(tone(0.5)))
