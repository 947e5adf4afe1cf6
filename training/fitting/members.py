"""What the recipes of the spectrogram and the feature member share: clips, forms, folds and calibration."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import threadpoolctl
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.calibration import Calibration
from models.processing import Features, Processor
from models.spec import ModelSpec
from training import voice_deepfake
from training.data.datasets import Clip, class_indices, datasets_dir
from training.evaluation.folds import Split
from training.fitting import calibrate, command, sound
from training.protocol import Predict, Rows

KEPT = Path("build/features")
CLASSES = ("HUMAN", "AI_GENERATED")
AI = CLASSES.index("AI_GENERATED")
WORKERS = 2  # processes that compute features, or train networks
CHECKED = 40  # clips that the compiled form is compared on

Logits = NDArray[np.float32]


class Member:
    """A recipe of a network; a subclass says how it is trained and written.

    Attributes:
        spec: The model.
        processor: Its pre-processing.
        kept: Type that its features are kept in.
        forms: Of ``sound.FORMS``, that are learned from; the plain one first.
        classes: In the order of the logits.
    """

    spec: ModelSpec
    processor: Processor
    kept: type[np.floating] = np.float32
    forms: tuple[str, ...] = ("plain",)
    classes = CLASSES

    def __init__(self) -> None:
        self._features: list[dict[Path, Features]] = []
        self.data = Path()  # folder of the data sets, from ``clips`` on

    def fitted(self, clips: Sequence[Clip]) -> tuple[torch.nn.Module, Calibration]:
        """Trains the model, in evaluation mode; its calibration is fitted on what the networks have not met."""
        raise NotImplementedError

    def answers(self, module: torch.nn.Module, clips: Sequence[Clip]) -> Logits:
        """What a network says of clips as they are, float32 [clips, classes]."""
        raise NotImplementedError

    def write(self, module: torch.nn.Module, clips: Sequence[Clip], out: Path) -> None:
        """Writes the native files of a model that was trained on these clips."""
        raise NotImplementedError

    def export(self, out: Path, clips: Sequence[Clip]) -> float:
        """Writes the compiled form; the largest difference of a probability on clips."""
        raise NotImplementedError

    def clips(self, data: Path) -> list[Clip]:
        """The clips of the encoder's recipe, measured."""
        clips = voice_deepfake.RECIPE.listed(data)
        self._features, self.data = measured(clips, self, data), data
        return clips

    def features(self, clips: Sequence[Clip], form: int = 0) -> list[Features]:
        """What the processor makes of a form of clips, as it is kept."""
        return [self._features[form][clip.path] for clip in clips]

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """Those of the encoder's recipe."""
        return voice_deepfake.RECIPE.schemes(clips)

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """Those of the encoder's recipe."""
        return voice_deepfake.RECIPE.groupings(clips)

    def fit(self, clips: Sequence[Clip]) -> Predict:
        """For the protocol."""
        module, calibration = self.fitted(clips)

        def predict(others: Sequence[Clip]) -> Rows:
            return calibration.probabilities(self.answers(module, others)).astype(np.float64)

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
    module, calibration = recipe.fitted(clips)
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    recipe.write(module, clips, options.out)
    calibration.save(options.out)
    difference = recipe.export(options.out, clips[:: max(1, len(clips) // CHECKED)])
    print(f"largest difference of a probability, compiled against native: {difference:.5f}")


def labels(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """Places in ``CLASSES``, int64 [clips]."""
    return class_indices(clips, CLASSES)


def weights(clips: Sequence[Clip]) -> NDArray[np.float64]:
    """Chance that a clip is drawn, float64 [clips]: as much as it counts for the encoder's member."""
    counted = voice_deepfake.counted(clips)
    return np.asarray(counted / counted.sum())


def measured(clips: Sequence[Clip], member: Member, data: Path) -> list[dict[Path, Features]]:
    """What a processor makes of the forms of clips; read from ``KEPT`` where it is there.

    Args:
        clips: Of any data sets.
        member: Whose features.
        data: Folder of all data sets.

    Returns:
        For each form the features of each clip, [rows, columns], of the type that they are kept in.
    """
    tables: list[dict[Path, Features]] = [{} for _ in member.forms]
    for folder in sorted({_set_of(clip, data) for clip in clips}):
        own = [clip for clip in clips if _set_of(clip, data) == folder]
        for table, form in zip(tables, member.forms, strict=True):
            made = _kept(own, form, member, data)
            table |= {clip.path: row for clip, row in zip(own, made, strict=True)}
    return tables


def unmet(
    train: Callable[[Split], torch.nn.Module], recipe: Member, clips: Sequence[Clip], splits: Sequence[Split]
) -> Logits:
    """Logits of clips by networks that have not met them, float32 [clips, classes]; NaN where a clip is in no fold.

    Args:
        train: The network of a split.
        recipe: Asks it.
        clips: All of them.
        splits: Of the clips.
    """
    logits = np.full((len(clips), len(CLASSES)), np.nan, np.float32)
    for split in splits:
        logits[split.test] = recipe.answers(train(split), [clips[place] for place in split.test])
    return logits


def calibrated(logits: Logits, clips: Sequence[Clip]) -> Calibration:
    """Fitted on the logits of clips that were not met, in which they count as in training; rows of NaN are left out."""
    asked = ~np.isnan(logits).any(axis=1)
    return calibrate.fit(logits[asked], labels(clips)[asked], weights(clips)[asked]).calibration


def _set_of(clip: Clip, data: Path) -> str:
    return clip.path.relative_to(data).parts[0]


def _kept(clips: Sequence[Clip], form: str, member: Member, data: Path) -> list[Features]:
    names = "\n".join(str(clip.path.relative_to(data)) for clip in clips)
    title = f"{member.spec.name}-{_set_of(clips[0], data)}-{form}"
    path = KEPT / f"{title}-{hashlib.sha256(names.encode()).hexdigest()[:16]}.npy"
    ends = path.with_suffix(".ends.npy")
    if not ends.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        work = partial(_prepared, form=form, processor=member.processor, kept=member.kept, data=data)
        with ProcessPoolExecutor(WORKERS, initializer=threadpoolctl.threadpool_limits, initargs=(1,)) as pool:
            made = pool.map(work, clips, chunksize=16)
            rows = list(tqdm(made, desc=title, total=len(clips), unit="clip", mininterval=10))
        np.save(path, np.concatenate(rows))
        np.save(ends, np.cumsum([len(row) for row in rows]))
    return np.split(np.load(path, mmap_mode="r"), np.load(ends)[:-1])


def _prepared(clip: Clip, form: str, processor: Processor, kept: type[np.floating], data: Path) -> NDArray[np.floating]:
    return np.atleast_2d(processor.prepare(sound.form(clip, form, data)).features).astype(kept)
