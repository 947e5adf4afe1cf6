"""For how much of a long recording room is asked, and what of it is still to be submitted."""

from __future__ import annotations

import pytest

from core.errors import TooManyRequests
from scheduling.policy import LENGTH_TOLERANCE_S, LongRecording

LEAST_S = 10.0


class Room:
    """Remembers what was asked for; has room until it is full."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.is_full = False

    def admit(self, recording: LongRecording, more: float) -> None:
        if self.is_full:
            raise TooManyRequests("full", retry_after=1.0)
        self.asked.append(more)


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def recording(room: Room) -> LongRecording:
    return LongRecording("m", LEAST_S, room.admit)


def test_a_recording_that_is_not_long_needs_no_room(recording: LongRecording, room: Room) -> None:
    for seconds in (0.0, 5.0, LEAST_S):
        recording.announce(seconds)
    assert room.asked == []
    assert recording.left == 0.0


def test_room_is_asked_for_the_whole_of_a_stated_length(recording: LongRecording, room: Room) -> None:
    recording.announce(100.0)
    recording.announce(40.0)  # as far as it has been decoded
    recording.announce(100.0 + LENGTH_TOLERANCE_S)  # and as long as it turns out to be
    assert room.asked == [100.0]
    assert (recording.total, recording.left) == (100.0, 100.0)


def test_one_that_is_longer_than_stated_asks_for_more(recording: LongRecording, room: Room) -> None:
    recording.announce(100.0)
    recording.announce(100.0 + LENGTH_TOLERANCE_S + 0.5)
    recording.announce(150.0)
    assert room.asked == [100.0, LEAST_S, 40.0]
    assert (recording.total, recording.left) == (150.0, 150.0)


def test_one_without_a_stated_length_asks_in_steps_as_it_grows(recording: LongRecording, room: Room) -> None:
    for seconds in range(40):
        recording.announce(float(seconds))
    assert room.asked == [11.0, LEAST_S, LEAST_S, LEAST_S]
    assert recording.total == 41.0


def test_one_of_short_windows_may_be_less_than_a_second(room: Room) -> None:
    LongRecording("m", 0.5, room.admit).announce(0.8)
    assert room.asked == [0.8]


def test_what_was_submitted_is_not_left(recording: LongRecording) -> None:
    recording.announce(100.0)
    recording.submitted(30.0)
    assert (recording.total, recording.left) == (100.0, 70.0)
    recording.submitted(80.0)  # padded windows
    assert recording.left == 0.0


def test_where_there_is_no_room_nothing_is_counted(recording: LongRecording, room: Room) -> None:
    recording.announce(100.0)
    room.is_full = True
    with pytest.raises(TooManyRequests):
        recording.announce(200.0)
    assert (recording.total, recording.left) == (100.0, 100.0)
