"""Whatever a batch holds besides it: every runner gives an item the answer that it gives it alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.settings import get_settings
from media.faces import crop_face, largest_face
from media.image import decode_image
from media.samples import resample
from models import registry
from models.messages import InferenceRequest, InferenceResult
from models.spec import AudioInput, ImageInput, cost
from runners import all_runners
from tests.support.served import DATA

TOLERANCE = 1e-3  # of a probability: what batch-mates may change at most
SHORTEST_S, LONGEST_S = 0.05, 8.0  # the feature network takes longer recordings too, and its time for them
POOL = 12  # different items of each model

Item = NDArray[Any]


class Asked:
    """A runner as BentoML makes it in its process, and the answers that it gives to each item of a pool alone."""

    def __init__(self, name: str) -> None:
        self.spec = registry.specs()[name]
        self.runner = all_runners()[name].inner()
        self.pool = (
            pictures(self.spec.input.size) if isinstance(self.spec.input, ImageInput) else clips(self.spec.input)
        )
        self.alone = [self.ask([item])[0] for item in self.pool]

    def ask(self, items: Sequence[Item]) -> list[InferenceResult]:
        """What the API process would get for a batch."""
        outcomes: list[InferenceResult] = self.runner.predict(
            [InferenceRequest(item, cost=cost(self.spec, item)) for item in items]
        )
        return outcomes


def clips(kind: AudioInput) -> list[Item]:
    """Real recordings of very different lengths, float32 at the model's rate."""
    files = sorted(
        [*(DATA / "voices").glob("*.flac"), *(DATA / "scenes").glob("*.flac"), *(DATA / "hearts").glob("*.flac")]
    )
    lengths = np.geomspace(SHORTEST_S, min(LONGEST_S, kind.window_s), POOL)
    return [_clip(files[place % len(files)], kind.sample_rate, float(length)) for place, length in enumerate(lengths)]


def _clip(path: Path, rate: int, seconds: float) -> Item:
    samples, from_rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.resize(resample(np.ascontiguousarray(samples[:, 0]), from_rate, rate), max(1, round(seconds * rate)))


def pictures(size: int) -> list[Item]:
    """Real faces as they are cut out, and mirrored, uint8 [size, size, 3]."""
    faces = [decode_image(path.read_bytes(), max_pixels=10**8) for path in sorted((DATA / "faces").glob("*_?.jpg"))]
    cut = [crop_face(picture, largest_face(picture), size) for picture in faces]
    return [*cut, *(np.ascontiguousarray(face[:, ::-1]) for face in cut)]


@pytest.fixture(scope="module", params=sorted(registry.specs()))
def asked(request: pytest.FixtureRequest, store: Path) -> Iterator[Asked]:
    """Each runner, with more padding in its batches than any engine allows: the masks are to be put to the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNERS", json.dumps({request.param: {"batch_padding": 0.95}}))
        get_settings.cache_clear()
        yield Asked(request.param)
    get_settings.cache_clear()


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_item_gets_the_same_answer_in_any_batch(asked: Asked, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(asked.pool) - 1), min_size=2, max_size=16))
    together = asked.ask([asked.pool[place] for place in places])
    assert [outcome.kind for outcome in together] == ["ok"] * len(places)
    for place, outcome in zip(places, together, strict=True):
        np.testing.assert_allclose(outcome.probabilities, asked.alone[place].probabilities, atol=TOLERANCE)
        alone = asked.alone[place].extras
        for name, value in outcome.extras.items():  # what the network measures has its rounding
            measured = TOLERANCE if name in asked.spec.measures else None
            assert value == pytest.approx(alone[name], abs=measured, nan_ok=True)


def test_an_item_that_cannot_be_judged_changes_nothing_for_its_batch_mates(asked: Asked) -> None:
    wrong = np.zeros((0,), np.float32)
    first, bad, last = asked.ask([asked.pool[0], wrong, asked.pool[-1]])
    assert bad.kind == "invalid"
    for outcome, alone in ((first, asked.alone[0]), (last, asked.alone[-1])):
        np.testing.assert_allclose(outcome.probabilities, alone.probabilities, atol=TOLERANCE)
