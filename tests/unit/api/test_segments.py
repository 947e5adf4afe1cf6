"""Where the windows of a recording lie in it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from api.ui import views
from api.v1.report import bounds, windows
from media.audio import DecodedAudio
from models import registry
from models.spec import AudioInput, split
from tasks.base import Prediction
from tasks.questions import questions
from training.evaluation.published_figures import FILE_NAME, TRAINING, shipped


@pytest.mark.parametrize(("size", "window", "piece"), [(100, 30, 100), (90, 30, 90), (7, 30, 30), (250, 30, 100)])
def test_without_pauses_they_follow_one_another(size: int, window: int, piece: int) -> None:
    found = bounds(np.full(size, True), window, piece)
    assert found[0][0] == 0
    assert found[-1][1] == size
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))
    if piece == size:
        assert [end - start for start, end in found] == [
            len(part) for part in split(np.zeros(size, np.float32), window)
        ]


def test_what_was_cut_lies_between_or_within_them() -> None:
    kept = np.full(100, True)
    kept[:10] = kept[40:60] = kept[95:] = False
    found = bounds(kept, 35, 100)
    assert found[0][0] == 10
    assert found[-1][1] == 95
    assert sum(int(kept[start:end].sum()) for start, end in found) == kept.sum()


def test_windows_of_a_heart_lie_where_it_beats() -> None:
    """15 s of silence, then 40 s of beats in two windows: in the uniform answer and in the playground."""
    spec = registry.specs()["heart_sound"]
    samples = np.zeros(55 * 2_000, np.float32)
    samples[15 * 2_000 :] = np.random.default_rng(0).normal(0, 0.1, 40 * 2_000)
    audio = DecodedAudio(samples, 2_000, 2_000, 1, 55.0, "wav")
    prediction = Prediction(spec.name, "tag", dict.fromkeys(spec.classes, 0.2), np.full((2, 5), 0.2))
    found = windows(questions()["heart-sound"], audio, prediction, spec)
    assert [(start, end) for start, end, _ in found] == [(15.0, 35.0), (35.0, 55.0)]
    shown = [views.window(*one) for one in found]
    assert [(window.start_s, window.end_s) for window in shown] == [(15.0, 35.0), (35.0, 55.0)]


def test_a_window_has_its_own_probabilities_in_both_answers() -> None:
    """Also where fewer windows were asked about than the recording has."""
    spec = registry.specs()["audio_scene"]
    assert isinstance(spec.input, AudioInput)
    samples = np.zeros(round(3 * spec.input.window_s * 16_000), np.float32)
    rows = np.eye(len(spec.classes))[:2]
    prediction = Prediction(spec.name, "tag", dict(zip(spec.classes, rows.mean(0), strict=True)), rows)
    audio = DecodedAudio(samples, 16_000, 16_000, 1, samples.size / 16_000, "wav")
    found = windows(questions()["audio-scene"], audio, prediction, spec)
    assert [max(row, key=lambda name: row[name]) for _, _, row in found] == list(spec.classes[:2])
    assert [[share.probability for share in views.window(*one).shares] for one in found] == rows.tolist()
    one_window = Prediction(spec.name, "tag", prediction.probabilities, rows[:1])
    assert windows(questions()["audio-scene"], audio, one_window, spec) == []


@pytest.mark.parametrize("name", registry.specs())
def test_the_shipped_figures_are_those_that_were_measured(name: str) -> None:
    """``python -m training.evaluation.published_figures`` writes them."""
    evaluation, left_out = (json.loads((TRAINING / file).read_text()) for file in ("evaluation.json", "left_out.json"))
    written = json.loads((registry.weights(name).parent / FILE_NAME).read_text())
    assert written == shipped(name, evaluation, left_out)
