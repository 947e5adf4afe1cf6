"""How answers about faces are counted by change, with a classifier whose faults are known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models import registry
from models.face_gender import SPEC
from training import robustness
from training.data.datasets import Clip
from training.face_robustness import CHANGES, ServedModel, measure

FACES = Path(__file__).parents[2] / "data" / "faces"


def by_brightness(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Light is female, dark is male, and in a tiny picture there is no face."""
    if picture.shape[0] < 50:
        return np.full(2, np.nan, np.float32)
    return np.asarray(np.eye(2)[int(picture.mean() < 100)], np.float32)


def test_shares_are_of_the_right_answers(tmp_path: Path) -> None:
    clips = []
    for place, (value, label) in enumerate(((150, "female"), (50, "male"), (50, "female"))):
        path = tmp_path / f"{place}.png"
        cv2.imwrite(str(path), np.full((128, 128, 3), value, np.uint8))
        clips.append(Clip(path, label, f"g{place}", {}))
    found = measure(by_brightness, {"FairFace": clips[:1], "UTKFace": clips[1:]})
    assert (found["clips"], found["right"]) == (3, 2)  # the third is wrong as it is
    assert set(found["turned"]) == set(CHANGES)
    assert found["turned"]["half as bright"] == 0.5
    assert found["by_source"]["FairFace"]["half as bright"] == 1.0
    assert found["by_source"]["UTKFace"]["half as bright"] == 0.0
    assert found["turned"]["40 pixels across"] == 1.0  # no face is found
    assert found["turned"]["JPEG quality 50"] == found["turned"]["turned by 90 degrees"] == 0.0


def test_a_picture_is_turned_and_cropped_as_the_names_say() -> None:
    picture = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)
    np.testing.assert_array_equal(CHANGES["turned by 90 degrees"](picture)[-1, 0], picture[0, 0])
    np.testing.assert_array_equal(CHANGES["turned by 180 degrees"](picture)[-1, -1], picture[0, 0])
    np.testing.assert_array_equal(CHANGES["turned by 270 degrees"](picture)[0, -1], picture[0, 0])
    np.testing.assert_array_equal(CHANGES["a tenth cut off at each edge"](picture), picture[1:9, 2:18])


def test_quarter_turns_leave_the_answer_as_it_was_measured() -> None:
    """Of the pictures that are answered rightly upright at least 95 % are when they lie, by the committed figures."""
    turned = json.loads(robustness.RESULTS.read_text())[SPEC.name]["turned"]
    assert set(turned) == set(CHANGES)
    assert max(turned[f"turned by {degrees} degrees"] for degrees in (90, 180, 270)) <= 0.05


def test_the_bundled_network_is_asked_as_it_is_served() -> None:
    served = ServedModel(registry.complete(SPEC.name))
    portrait = cv2.imread(str(FACES / "male_1.jpg"))
    assert SPEC.classes[int(served(np.asarray(portrait, np.uint8)).argmax())] == "male"
    assert np.isnan(served(np.asarray(cv2.imread(str(FACES / "no_face.jpg")), np.uint8))).all()
