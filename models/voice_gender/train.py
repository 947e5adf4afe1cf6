"""``python -m models.voice_gender.train``: trains, calibrates and compiles the voice gender model."""

from __future__ import annotations

from collections.abc import Sequence

from models.training import augment, codecs
from models.training.datasets import (
    balanced_weights,
    class_indices,
    datasets_dir,
    load_clips,
    read_manifest,
)
from models.training.fingerprint import keyed
from models.training.pitch import Pitch
from models.voice_gender import SPEC
from models.voice_gender.encoder import WEIGHTS, SpeakerEncoder
from models.voice_gender.further import FURTHER_SETS, further_clips
from models.voice_gender.processing import PROCESSOR
from models.wav2vec2.details import Comparisons
from models.wav2vec2.distillation import Teacher
from models.wav2vec2.filterbank import linear_bands, mel_bands
from models.wav2vec2.training import Data, Recipe, arguments, train

RATE = 16_000  # Hz
EPOCHS = 18
CODED = 2  # forms of each training clip, through codecs
COPIES = 16  # of each training clip, augmented
POWERS = (1.0, 0.2, 0.5)  # how far label, source and speaker are evened out
# 60 filters that resolve the harmonics of a voice (a window of 64 ms: 31 Hz), 40 that follow its formants.
BANDS = (*linear_bands(60.0, 780.0, 60, 0.064), *mel_bands(200.0, 7_400.0, 40, 0.025))


def chain(noises: list[augment.Audio]) -> augment.Chain:
    """What a clip goes through; speed moves by at most 3 %, since pitch and formants together carry the label."""
    return augment.Chain(
        [
            augment.Sometimes(0.5, Pitch()),
            augment.Sometimes(0.5, augment.Speed(0.03)),
            augment.Sometimes(0.3, augment.Reverberation()),
            augment.Sometimes(0.5, augment.Equaliser(4.0)),
            augment.Sometimes(0.6, augment.Noise(noises, 3.0, 35.0)),
            augment.Sometimes(0.3, augment.BandLimit(2_500.0, 7_800.0, 0.3)),
            augment.Gain(-20.0, 6.0),
        ]
    )


def main(given: Sequence[str] | None = None) -> None:
    """The command."""
    options = arguments(SPEC.name, EPOCHS, given, teacher=True)
    folder = datasets_dir(options.data)
    noises = [clip for clip in read_manifest(folder / "audio_scenes", "train") if clip.label == "noise"]
    clips, val = (read_manifest(folder / SPEC.name, split) for split in ("train", "val"))
    clips += further_clips(folder, clips)
    teacher = None
    if not options.without_teacher:
        sets = SPEC.name, *FURTHER_SETS
        kept = keyed(options.work / "embedded.npz", folder, sets, seed=options.seed, copies=COPIES)
        teacher = Teacher(SpeakerEncoder.load(WEIGHTS.fetch()), [clip.group for clip in clips], kept)
    recipe = Recipe(
        BANDS, kernel=1024, details=Comparisons(), augment=chain(load_clips(noises, RATE)), seconds=(1.0, 2.5),
        copies=COPIES, teacher=teacher,
    )  # fmt: skip
    keys = [c.label for c in clips], [c.fields["source"] for c in clips], [c.group for c in clips]
    data = Data(
        codecs.variants(load_clips(clips, RATE), CODED, options.seed),
        class_indices(clips, SPEC.classes),
        balanced_weights(*keys, powers=POWERS),
        load_clips(val, RATE),
        class_indices(val, SPEC.classes),
        [f"{c.label} {c.fields['source']}" for c in clips],
    )
    train(SPEC, PROCESSOR, recipe, data, options)


if __name__ == "__main__":
    main()
