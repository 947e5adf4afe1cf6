"""How answers about faces are counted by group and by change, with a classifier whose faults are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models import registry
from models.face_gender import SPEC
from training.data.datasets import Clip
from training.face_robustness import CHANGES, ServedModel, by_group, flips

FACES = Path(__file__).parents[2] / "data" / "faces"


def by_brightness(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Light is female, dark is male, and in a tiny picture there is no face."""
    if picture.shape[0] < 50:
        return np.full(2, np.nan, np.float32)
    return np.asarray(np.eye(2)[int(picture.mean() < 100)], np.float32)


def test_flips_are_shares_of_the_right_answers() -> None:
    light, dark = (np.full((128, 128, 3), value, np.uint8) for value in (150, 50))
    found = flips(by_brightness, [light, dark, dark], np.array([0, 1, 0]))
    assert set(found) == set(CHANGES)
    assert found["half as bright"] == 0.5  # of two right answers; the third was wrong before
    assert found["40 pixels across"] == 1.0  # no face is found
    assert found["JPEG quality 50"] == found["grey"] == 0.0


def test_a_face_that_is_not_found_counts_as_wrong() -> None:
    clips = [
        Clip(Path("x"), label, "g", {"age": age, "ethnicity": "White", "source": source})
        for label, age, source in (
            ("female", "25", "UTKFace/1"),
            ("male", "25", "UTKFace/2"),
            ("male", "5", "FairFace a"),
        )
    ]
    rows = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]], np.float32)
    found = by_group(clips, rows)
    assert found["all"]["accuracy"] == pytest.approx(2 / 3)
    assert found["20 to 69"] == {**found["UTKFace"]}
    assert (found["UTKFace"]["female"], found["UTKFace"]["male"]) == (1.0, 0.0)
    assert found["FairFace"]["accuracy"] == 1.0


def test_the_bundled_network_is_asked_as_it_is_served() -> None:
    served = ServedModel(registry.weights(SPEC.name))
    portrait = cv2.imread(str(FACES / "male_1.jpg"))
    assert SPEC.classes[int(served(np.asarray(portrait, np.uint8)).argmax())] == "male"
    assert np.isnan(served(np.asarray(cv2.imread(str(FACES / "no_face.jpg")), np.uint8))).all()
