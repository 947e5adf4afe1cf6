"""``python -m models.deepfake_wav2vec2.train``: trains, calibrates and compiles the wav2vec2 member of the ensemble."""

from __future__ import annotations

from collections.abc import Sequence

from models.deepfake_wav2vec2 import SPEC
from models.deepfake_wav2vec2.processing import PROCESSOR
from models.training import augment
from models.training.datasets import (
    Clip,
    balanced_weights,
    class_indices,
    datasets_dir,
    load_clips,
    read_manifest,
)
from models.wav2vec2 import clipwise
from models.wav2vec2.details import Textures
from models.wav2vec2.filterbank import linear_bands
from models.wav2vec2.training import Data, Recipe, arguments, train

RATE = 16_000  # Hz
DATA = "voice_deepfake"
EPOCHS = 6
# Vocoders leave their traces in the fine structure at all frequencies: equal steps, windows of 32 ms. Most clips of the
# data set end at 7 kHz, so what lies above would tell the preparation of the set and not the voice.
BANDS = linear_bands(80.0, 6_960.0, 87, 0.032)
# Dropout inside the perceptrons only: elsewhere it would hit the constant channels that ``clipwise`` relies on.
CONFIGURATION = {"hidden_dropout": 0.0, "feat_proj_dropout": 0.0, "activation_dropout": 0.4}
POWERS = (1.0, 0.7, 0.5)  # how far label, language, and system or speaker are evened out


def chain(noises: list[augment.Audio]) -> augment.Chain:
    """What a clip goes through; nothing that would cover the traces of a vocoder altogether."""
    return augment.Chain(
        [
            augment.Sometimes(0.5, augment.Speed(0.08)),
            augment.Sometimes(0.15, augment.Reverberation(0.1, 0.4, 5.0, 20.0)),
            augment.Sometimes(0.5, augment.Equaliser(4.0)),
            augment.Sometimes(0.4, augment.Noise(noises, 12.0, 40.0)),
            augment.Sometimes(0.3, augment.BandLimit(3_200.0, 7_800.0, 0.2)),
            augment.Gain(-20.0, 6.0),
        ]
    )


def sampling(clips: Sequence[Clip]) -> list[tuple[object, ...]]:
    """The keys that are evened out: label, language, and the system, or the speaker of human clips."""
    inner = [c.group if c.label == "HUMAN" else c.fields["system"] for c in clips]
    return [tuple(c.label for c in clips), tuple(c.fields["language"] for c in clips), tuple(inner)]


def main(given: Sequence[str] | None = None) -> None:
    """The command."""
    options = arguments(SPEC.name, EPOCHS, given)
    folder = datasets_dir(options.data)
    noises = [clip for clip in read_manifest(folder / "audio_scenes", "train") if clip.label == "noise"]
    recipe = Recipe(
        BANDS, 512, Textures(), chain(load_clips(noises, RATE)), (1.5, 3.5), learning_rate=5e-4, copies=1,
        start=clipwise.start, configuration=CONFIGURATION,
    )  # fmt: skip
    clips, val = (read_manifest(folder / DATA, split) for split in ("train", "val"))
    data = Data(
        [[audio] for audio in load_clips(clips, RATE)],
        class_indices(clips, SPEC.classes),
        balanced_weights(*sampling(clips), powers=POWERS),
        load_clips(val, RATE),
        class_indices(val, SPEC.classes),
        [c.fields["system"] if c.label == "AI_GENERATED" else f"human {c.fields['language']}" for c in clips],
    )
    train(SPEC, PROCESSOR, recipe, data, options)


if __name__ == "__main__":
    main()
