"""Long recordings in pieces, and their answers in one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models import heart_sound
from models.audio_scene import SPEC
from models.spec import average, split
from tasks import heart_sound as heart_task
from tasks.audio_scene import join

SILENCE = SPEC.classes.index("silence")


@given(st.integers(1, 5_000), st.integers(1, 900))
def test_pieces_are_the_whole_none_longer_than_a_window_and_alike(size: int, window: int) -> None:
    samples = np.arange(size, dtype=np.float32)
    pieces = split(samples, window)
    lengths = [len(piece) for piece in pieces]
    assert np.array_equal(np.concatenate(pieces), samples)
    assert max(lengths) <= window
    assert max(lengths) - min(lengths) <= 1
    assert len(pieces) == -(-size // window)


def one_hot(*names: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[0.9 if name == cls else 0.1 / 3 for cls in SPEC.classes] for name in names])


def test_a_pause_does_not_outvote_speech() -> None:
    rows = one_hot("silence", "silence", "speech")
    assert SPEC.classes[int(join(rows, np.ones(3)).argmax())] == "speech"
    assert average(rows, np.ones(3)).argmax() == SILENCE


def test_one_doubtful_window_in_an_hour_of_silence_is_silence() -> None:
    rows = one_hot(*["silence"] * 99, "noise")
    assert join(rows, np.ones(100)).argmax() == SILENCE


def test_silence_is_silence() -> None:
    assert join(one_hot("silence", "silence"), np.ones(2)).argmax() == SILENCE


def hearts(*names: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[0.9 if name == cls else 0.1 / 4 for cls in heart_sound.SPEC.classes] for name in names])


def test_silence_after_a_heart_does_not_make_an_artefact_of_it() -> None:
    def joined(*names: str, weights: list[float]) -> str:
        return heart_sound.SPEC.classes[int(heart_task.join(hearts(*names), np.array(weights)).argmax())]

    assert joined("Murmur", "Artifact", "Artifact", weights=[1.0, 1.0, 1.0]) == "Murmur"
    assert joined("Murmur", "Artifact", "Artifact", weights=[1.0, 30.0, 30.0]) == "Artifact", "too little of a heart"
    assert joined("Artifact", weights=[1.0]) == "Artifact"
