"""What the recipes of the spectrogram and the feature member share: clips, forms, folds and calibration."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.calibration import Calibration
from models.processing import Features, Processor
from models.spec import ModelSpec
from training import voice_deepfake
from training.data.datasets import Clip, balanced_weights, class_indices, datasets_dir
from training.evaluation.folds import Split
from training.fitting import calibrate, command, sound
from training.protocol import Predict, Rows

KEPT = Path("build/features")
CLASSES = ("HUMAN", "AI_GENERATED")
AI = CLASSES.index("AI_GENERATED")
# Forms of a clip that are learned from. The sets' clips are coded, filtered and faintly noisy at random already.
FORMS = ("plain",)
POWERS = (1.0, 0.5, 0.5)  # how far class, language within it, and page within that are balanced
INNER_FOLDS = 4  # of the training clips, for the logits that the calibration is fitted on
CHECKED = 40  # clips that the compiled form is compared on

Logits = NDArray[np.float32]
Fitted = Callable[[Sequence[Clip]], Logits]  # float32 [clips, classes], of the plain form


class Member:
    """A recipe of a network; a subclass says how it is trained and written.

    Attributes:
        spec: The model.
        processor: Its pre-processing.
        kept: Type that its features are kept in.
        classes: In the order of the logits.
    """

    spec: ModelSpec
    processor: Processor
    kept: type[np.floating] = np.float32
    classes = CLASSES

    def __init__(self) -> None:
        self._features: list[dict[Path, Features]] = []

    def trained(self, clips: Sequence[Clip]) -> Fitted:
        """Trains one network, for the folds."""
        raise NotImplementedError

    def write(self, clips: Sequence[Clip], out: Path) -> None:
        """Trains the model and writes its native files."""
        raise NotImplementedError

    def export(self, out: Path, clips: Sequence[Clip]) -> float:
        """Writes the compiled form; the largest difference of a probability on clips."""
        raise NotImplementedError

    def clips(self, data: Path) -> list[Clip]:
        """The clips of the encoder's recipe, measured."""
        clips = voice_deepfake.RECIPE.listed(data)
        self._features = measured(clips, self, data)
        return clips

    def features(self, clips: Sequence[Clip], form: int = 0) -> list[Features]:
        """What the processor makes of a form of clips."""
        return [self._features[form][clip.path] for clip in clips]

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """Those of the encoder's recipe."""
        return voice_deepfake.RECIPE.schemes(clips)

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """Those of the encoder's recipe."""
        return voice_deepfake.RECIPE.groupings(clips)

    def calibration(self, clips: Sequence[Clip]) -> Calibration:
        """Fitted on the logits of training clips by networks that have not met their pages and synthesisers."""
        return calibrated(out_of_fold(self.trained, clips, voice_deepfake.unseen(clips, INNER_FOLDS)), clips)

    def fit(self, clips: Sequence[Clip]) -> Predict:
        """For the protocol."""
        fitted, calibration = self.trained(clips), self.calibration(clips)

        def predict(others: Sequence[Clip]) -> Rows:
            return calibration.probabilities(fitted(others)).astype(np.float64)

        return predict


def main(recipe: Member, about: str | None, arguments: Sequence[str] | None = None) -> None:
    """Trains on the training parts and writes the weights folder of a model.

    Args:
        recipe: The recipe.
        about: Of the command.
        arguments: Those of the process where none are given.
    """
    options = command.parser(recipe.spec.name, about).parse_args(arguments)
    clips = [clip for clip in recipe.clips(datasets_dir(options.data)) if clip.fields["split"] == "train"]
    calibration = recipe.calibration(clips)
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    recipe.write(clips, options.out)
    calibration.save(options.out)
    difference = recipe.export(options.out, clips[:: max(1, len(clips) // CHECKED)])
    print(f"largest difference of a probability, compiled against native: {difference:.5f}")


def labels(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """Places in ``CLASSES``, int64 [clips]."""
    return class_indices(clips, CLASSES)


def weights(clips: Sequence[Clip]) -> NDArray[np.float64]:
    """Chance that a clip is drawn: classes alike, languages and then pages within them more even than they are."""
    languages = [clip.fields["language"] for clip in clips]
    return balanced_weights(labels(clips).tolist(), languages, [voice_deepfake.page(c) for c in clips], powers=POWERS)


def measured(clips: Sequence[Clip], member: Member, data: Path) -> list[dict[Path, Features]]:
    """What a processor makes of the forms of clips; read from ``KEPT`` where it is there.

    Args:
        clips: Of any data sets.
        member: Whose features.
        data: Folder of all data sets.

    Returns:
        For each form the features of each clip, float32 [rows, columns].
    """
    tables: list[dict[Path, Features]] = [{} for _ in FORMS]
    for folder in sorted({_set_of(clip, data) for clip in clips}):
        own = [clip for clip in clips if _set_of(clip, data) == folder]
        for table, form in zip(tables, FORMS, strict=True):
            made = _kept(own, form, member, data)
            table |= {clip.path: row for clip, row in zip(own, made, strict=True)}
    return tables


def out_of_fold(trained: Callable[[Sequence[Clip]], Fitted], clips: Sequence[Clip], splits: Sequence[Split]) -> Logits:
    """Logits of clips by networks that have not met them, float32 [clips, classes]; NaN where a clip is in no fold."""
    logits = np.full((len(clips), len(CLASSES)), np.nan, np.float32)
    for split in splits:
        fitted = trained([clips[place] for place in split.train])
        logits[split.test] = fitted([clips[place] for place in split.test])
    return logits


def calibrated(logits: Logits, clips: Sequence[Clip]) -> Calibration:
    """Fitted on out-of-fold logits, in which clips count as in training."""
    return calibrate.fit(logits, labels(clips), weights(clips)).calibration


def _set_of(clip: Clip, data: Path) -> str:
    return clip.path.relative_to(data).parts[0]


def _kept(clips: Sequence[Clip], form: str, member: Member, data: Path) -> list[Features]:
    names = "\n".join(str(clip.path.relative_to(data)) for clip in clips)
    title = f"{member.spec.name}-{_set_of(clips[0], data)}-{form}"
    path = KEPT / f"{title}-{hashlib.sha256(names.encode()).hexdigest()[:16]}.npz"
    if not path.exists():
        bar = tqdm(clips, desc=title, unit="clip", mininterval=10)
        rows = [np.atleast_2d(member.processor.prepare(sound.form(clip, form, data)).features) for clip in bar]
        path.parent.mkdir(parents=True, exist_ok=True)
        ends = np.cumsum([len(row) for row in rows])
        np.savez(path, rows=np.concatenate(rows).astype(member.kept), ends=ends)
    with np.load(path) as file:
        return np.split(file["rows"].astype(np.float32), file["ends"][:-1])
