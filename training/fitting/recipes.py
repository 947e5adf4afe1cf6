"""What the recipes of the voice and scene models share: the encoder's statistics in, a calibrated head out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.encoder import FEATURES
from models.spec import ModelSpec
from training.data.datasets import Clip, class_indices, datasets_dir
from training.data.licences import is_clear
from training.evaluation.folds import Split, by_group
from training.fitting import calibrate, command, dense, features, heads, sound
from training.protocol import Predict, Rows

INNER_FOLDS = 4  # of the training clips, for the logits that the calibration is fitted on
CHECKED = 40  # clips that the compiled form is compared on
AnyHead = heads.Head | heads.KernelHead | dense.DenseHead
PLAIN = 0  # place of the unchanged form in ``sound.FORMS``, and in the forms of each recipe


class Encoded:
    """A recipe on the encoder's statistics.

    A subclass says which clips there are, how they are divided, and how a head is fitted.

    Attributes:
        spec: The model.
        trainer: As of ``command.parser``.
        pooling: ``features.SPEECH`` or ``features.WHOLE``.
        forms: Places in ``sound.FORMS`` of the forms that a head is fitted on, the plain one first.
        clear_only: Whether the weights learn only from clips whose licence is named and allows commercial use.
    """

    spec: ModelSpec
    pooling: int
    trainer: str | None = None
    clear_only = False
    forms: tuple[int, ...] = (0, 1, 2, 3)

    def __init__(self) -> None:
        self._place: dict[Path, int] = {}
        self._bank: features.Bank | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the logits."""
        return self.spec.classes

    def listed(self, data: Path) -> list[Clip]:
        """All labelled clips, in a fixed order."""
        raise NotImplementedError

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """By title, how the clips are divided."""
        raise NotImplementedError

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """By title, the group that each clip counts in."""
        raise NotImplementedError

    def head(self, rows: heads.Rows, labels: NDArray[np.int64], clips: Sequence[Clip]) -> AnyHead:
        """Fits one head on rows, which belong to these clips."""
        raise NotImplementedError

    def folds(self, clips: Sequence[Clip]) -> Sequence[Split]:
        """Divides training clips for the calibration: as the model will be judged, on what it has not met."""
        return by_group([clip.label for clip in clips], [clip.group for clip in clips], INNER_FOLDS)

    def with_and_without(
        self, title: str, splits: Sequence[Split], clips: Sequence[Clip]
    ) -> dict[str, Sequence[Split]]:
        """A scheme as the weights are fitted, and one that shows what clips without a clear licence add.

        Args:
            title: Of the scheme.
            splits: By all clips; what is tested stays.
            clips: All of them.
        """
        title_of_others = "unclear licences too" if self.clear_only else "clear licences alone"
        others = splits if self.clear_only else clear_alone(splits, clips)
        return {title: self.as_fitted(splits, clips), f"{title}; {title_of_others}": others}

    def as_fitted(self, splits: Sequence[Split], clips: Sequence[Clip]) -> Sequence[Split]:
        """Splits in which only those clips are learned from that the weights learn from."""
        return clear_alone(splits, clips) if self.clear_only else splits

    def clips(self, data: Path) -> list[Clip]:
        """The clips; their features are computed, or found where they are kept."""
        clips = self.listed(data)
        self._bank = features.bank(clips, data, [sound.FORMS[form] for form in self.forms])
        self._place = {clip.path: place for place, clip in enumerate(clips)}
        return clips

    def rows(self, clips: Sequence[Clip], form: int = PLAIN) -> heads.Rows:
        """What a head reads of clips, float32 [clips, FEATURES + LEVELS]."""
        assert self._bank is not None  # noqa: S101 - clips() comes first
        return self.read(self._bank, form)[[self._place[clip.path] for clip in clips]]

    def read(self, bank: features.Bank, form: int = PLAIN) -> heads.Rows:
        """What a head reads of all clips of a bank, float32 [clips, FEATURES + LEVELS]."""
        rows = bank.rows(self.pooling, form)
        if self.pooling == features.SPEECH:
            rows[:, FEATURES:] = 0.0  # how loud a voice is recorded says nothing of it
        return rows

    def fit_head(self, clips: Sequence[Clip]) -> AnyHead:
        """A head fitted on all forms of clips."""
        rows = np.concatenate([self.rows(clips, place) for place in range(len(self.forms))])
        many = [clip for _ in self.forms for clip in clips]
        return self.head(rows, class_indices(many, self.classes), many)

    def fit_calibrated(self, clips: Sequence[Clip]) -> tuple[AnyHead, Calibration]:
        """A head, and the calibration fitted on the logits of clips that other heads did not see."""
        logits = np.full((len(clips), len(self.classes)), np.nan)
        for split in self.folds(clips):
            fitted = self.fit_head([clips[place] for place in split.train])
            logits[split.test] = fitted.logits(self.rows([clips[place] for place in split.test]))
        seen = ~np.isnan(logits).any(axis=1)
        labels = class_indices(clips, self.classes)
        report = calibrate.fit(logits[seen].astype(np.float32), labels[seen], self.calibration_weights(clips)[seen])
        return self.fit_head(clips), report.calibration

    def calibration_weights(self, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """How much each clip counts in the calibration: classes alike."""
        counts = np.bincount(class_indices(clips, self.classes), minlength=len(self.classes))
        return np.asarray(1.0 / counts[class_indices(clips, self.classes)], np.float64)

    def fit(self, clips: Sequence[Clip]) -> Predict:
        """For the protocol."""
        head, calibration = self.fit_calibrated(clips)

        def predict(others: Sequence[Clip]) -> Rows:
            logits = head.logits(self.rows(others)).astype(np.float32)
            return calibration.probabilities(logits).astype(np.float64)

        return predict


def clear_alone(splits: Sequence[Split], clips: Sequence[Clip]) -> list[Split]:
    """Splits whose training parts have only clips of clear licences."""
    clear = np.array([is_clear(clip) for clip in clips])
    return [replace(split, train=split.train[clear[split.train]]) for split in splits]


def main(recipe: Encoded, about: str | None, arguments: Sequence[str] | None = None) -> None:
    """Fits a recipe on the training parts and writes the weights folder of its model.

    Args:
        recipe: The recipe.
        about: Of the command.
        arguments: Those of the process where none are given.
    """
    options = command.parser(recipe.spec.name, about, trainer=recipe.trainer).parse_args(arguments)
    data = datasets_dir(options.data)
    clips = recipe.clips(data)
    train = [clip for clip in clips if clip.fields["split"] == "train" and (is_clear(clip) or not recipe.clear_only)]
    head, calibration = recipe.fit_calibrated(train)
    heads.save(head, calibration, options.out, speech_only=recipe.pooling == features.SPEECH)
    checked = [sound.form(clip, "plain", data) for clip in train[:: max(1, len(train) // CHECKED)]]
    print(f"largest difference of a probability, compiled against native: {heads.record(options.out, checked):.6f}")
