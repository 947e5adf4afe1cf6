"""Labels of published checkpoints: which class each counts for, and how their outputs become the classes'."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models import registry
from models.published.checkpoint import CheckpointError
from models.published.network import Readout
from training.published import audioset, labels, layout

# Some of AudioSet's display names, by their index in its own class_labels_indices.csv, and what they are to count for.
AUDIOSET = {
    "speech": {
        0: "Speech",
        1: "Male speech, man speaking",
        2: "Female speech, woman speaking",
        3: "Child speech, kid speaking",
        4: "Conversation",
        5: "Narration, monologue",
        7: "Speech synthesizer",
        8: "Shout",
        11: "Yell",
        15: "Whispering",
    },
    "music": {
        27: "Singing",
        28: "Choir",
        36: "Rapping",
        37: "Humming",
        137: "Music",
        138: "Musical instrument",
        140: "Guitar",
        153: "Piano",
        155: "Organ",
        165: "Snare drum",
        180: "Marimba, xylophone",
        187: "Trumpet",
        191: "Violin, fiddle",
        196: "Flute",
        208: "Harmonica",
        216: "Pop music",
        219: "Rock music",
        235: "Jazz",
        237: "Classical music",
        241: "Techno",
        255: "A capella",
        278: "Sad music",
        282: "Scary music",
    },
    "noise": {
        16: "Laughter",
        22: "Crying, sobbing",
        47: "Cough",
        67: "Applause",
        69: "Crowd",
        74: "Dog",
        99: "Chicken, rooster",
        111: "Bird",
        201: "Church bell",
        283: "Wind",
        287: "Thunder",
        289: "Rain",
        300: "Vehicle",
        329: "Train",
        339: "Helicopter",
        345: "Dental drill, dentist's drill",
        355: "Doorbell",
        377: "Vacuum cleaner",
        396: "Siren",
        427: "Gunshot, gunfire",
        441: "Glass",
        506: "Inside, small room",
        513: "Noise",
        520: "White noise",
        524: "Television",
        526: "Field recording",
    },
    "silence": {
        500: "Silence",
    },
}


def test_audioset_has_its_527_labels_once_each() -> None:
    names = [name for name, _ in audioset.TABLE]
    assert len({labels.plain(name) for name in names}) == len(names) == 527
    assert {cls for _, cls in audioset.TABLE} == set(registry.specs()["audio_scene"].classes)
    table = dict(audioset.TABLE)
    assert [name for name, cls in audioset.TABLE if cls == "silence"] == ["Silence"]
    assert table["Narration, monologue"] == table["Whispering"] == "speech"
    assert table["Choir"] == table["Violin, fiddle"] == table["Sad music"] == "music"
    assert table["Rain"] == table["Church bell"] == table["Laughter"] == "noise"


def test_names_of_audioset_are_in_its_order_and_count_for_what_they_mean() -> None:
    """The names are the publisher's, not the table's; the whole table comes through the mapping of an import."""
    spec = registry.specs()["audio_scene"]
    pairs = labels.mapped(spec, [name for name, _ in audioset.TABLE])
    assert len(pairs) == 527
    expected = {place: (name, cls) for cls, names in AUDIOSET.items() for place, name in names.items()}
    assert len(expected) >= 40
    assert {place: pairs[place] for place in expected} == expected
    assert labels.are_independent([name for name, _ in expected.values()])


def test_labels_beyond_audioset_are_unknown() -> None:
    spec = registry.specs()["audio_scene"]
    assert labels.are_independent(layout.LABELS["audio_scene"])
    assert not labels.are_independent(spec.classes)
    with pytest.raises(CheckpointError, match="unknown labels: 'Applauze'"):
        labels.mapped(spec, [*layout.LABELS["audio_scene"], "Applauze"])


@pytest.mark.parametrize(
    ("outputs", "values", "expected"),
    [
        ("logits", [[0.0, 0.0, 0.0]], [[2 / 3, 1 / 3]]),
        # The strongest of independent labels counts: how many of them name a class is no argument.
        ("independent", [[0.0, 0.0, 0.0]], [[0.5, 0.5]]),
        ("independent", [[-9.0, 0.0, np.log(3)]], [[0.4, 0.6]]),
    ],
)
def test_labels_become_classes(outputs: str, values: list[list[float]], expected: list[list[float]]) -> None:
    readout = Readout(torch.nn.Identity(), [[0, 1], [2]], outputs)
    np.testing.assert_allclose(readout(torch.tensor(values)).softmax(dim=1).numpy(), expected, atol=1e-6)
