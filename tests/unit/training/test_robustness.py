"""The changes of the robustness table do what their names say."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from training import robustness
from training.fitting import sound

RATE = sound.RATE
RNG = np.random.default_rng(0)
SPOKEN = np.concatenate([np.full(RATE, 0.3), np.full(RATE // 2, 0.001), np.full(RATE, 0.3)]).astype(np.float32)


def test_a_pause_is_put_where_a_clip_is_quietest() -> None:
    changed = robustness.pause(2.0)(SPOKEN, RNG)
    assert changed.size == SPOKEN.size + 2 * RATE
    assert np.flatnonzero(changed > 0.1).tolist() == [*range(RATE), *range(changed.size - RATE, changed.size)]


def test_parts_are_lost_and_clicks_are_added_at_full_length() -> None:
    broken = robustness.lost(0.1, 5)(SPOKEN, np.random.default_rng(0))
    changed = np.flatnonzero(broken != SPOKEN)
    assert 0.1 * RATE <= changed.size <= 0.5 * RATE
    assert not broken[changed].any()
    clicked = robustness.click(5.0)(SPOKEN, np.random.default_rng(0))
    assert (clicked.size, clicked.max()) == (SPOKEN.size, pytest.approx(1.0))
    assert np.sum(~np.isclose(clicked * 1.8, SPOKEN, atol=0.001)) <= 0.002 * RATE


def test_the_second_microphone_hears_the_same_later() -> None:
    changed = robustness.CHANGES["two microphones, 0.75 ms apart"](SPOKEN, RNG)
    late = 12  # samples at 16 kHz
    np.testing.assert_array_equal(changed[: SPOKEN.size, 0], SPOKEN)
    np.testing.assert_array_equal(changed[late:, 1], SPOKEN)
    read, rate = soundfile.read(io.BytesIO(robustness.encoded(changed, "WAV")))
    assert (read.shape, rate) == (changed.shape, RATE)


@pytest.mark.parametrize("kind", robustness.CODED)
def test_every_container_holds_the_whole_clip(kind: str) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE)
    assert len(robustness.encoded(tone.astype(np.float32), kind)) > 1000
