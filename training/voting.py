"""Chooses how the AI-voice members are weighed: ``python -m training.voting`` (about an hour of two cores).

Each member answers every clip by a model that was fitted without its page of samples, its synthesiser and its speaker.
Of these answers come the weights, the threshold and the band of uncertain scores. The same choice is also made without
a fifth of the speakers at a time and measured on these: what it is worth on clips that nothing was chosen by.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.settings import VOTING, Voting
from training import ensemble
from training.data.datasets import Clip, class_indices, datasets_dir
from training.evaluation import metrics
from training.evaluation.folds import by_group
from training.fitting import members
from training.protocol import Rows, out_of_fold

STEPS = 20  # of a weight, from 0 to 1
THRESHOLDS = np.arange(0.05, 0.955, 0.01)
BIN = 0.05  # width of the scores that are called uncertain or not together
MAX_WRONG = 0.25  # share of wrong answers above which they are
LEAST = 20  # clips of a bin, below which its share says nothing

Labels = NDArray[np.int64]


def left_out(data: Path) -> tuple[list[Clip], Rows]:
    """All clips, and each member's score of each clip by a model that has not met it, float64 [clips, members]."""
    clips = ensemble.RECIPE.clips(data)
    (splits,) = ensemble.RECIPE.schemes(clips).values()
    return clips, np.stack([out_of_fold(one, clips, splits)[:, members.AI] for one in ensemble.RECIPES], axis=1)


def choose(scores: Rows, labels: Labels) -> Voting:
    """The weights with the largest area under the curve, where both classes err alike, and where answers err often.

    Args:
        scores: Each member's probability of ``AI_GENERATED``, float64 [clips, members].
        labels: int64 [clips].
    """
    grid = [(one, two) for one in range(STEPS + 1) for two in range(STEPS + 1 - one)]
    triples = [(one / STEPS, two / STEPS, (STEPS - one - two) / STEPS) for one, two in grid]
    weights = max(triples, key=lambda triple: metrics.roc_auc(labels == members.AI, scores @ triple))
    weighed = scores @ weights
    threshold = min(THRESHOLDS.tolist(), key=lambda one: abs(float(np.subtract(*errors(weighed, labels, one)))))
    return Voting(weights, round(threshold, 2), uncertain(weighed, labels, threshold))


def errors(weighed: Rows, labels: Labels, threshold: float) -> tuple[float, float]:
    """Shares of the people called a machine, and of the machines called a person."""
    artificial = labels == members.AI
    return float((weighed[~artificial] > threshold).mean()), float((weighed[artificial] <= threshold).mean())


def uncertain(weighed: Rows, labels: Labels, threshold: float) -> tuple[float, float]:
    """The scores around a threshold among which answers are too often wrong; empty where they are not."""
    wrong = (weighed > threshold) != (labels == members.AI)
    bins = np.minimum((weighed / BIN).astype(np.int64), round(1 / BIN) - 1)

    def errs(place: int) -> bool:
        chosen = bins == place
        return int(chosen.sum()) >= LEAST and float(wrong[chosen].mean()) > MAX_WRONG

    middle = int(threshold / BIN + 1e-9)
    low, high = middle, middle
    while low > 0 and errs(low - 1):
        low -= 1
    while high < round(1 / BIN) and errs(high):
        high += 1
    return (round(low * BIN, 2), round(high * BIN, 2)) if high > low else (threshold, threshold)


def judged(scores: Rows, labels: Labels, votings: Sequence[Voting]) -> str:
    """Figures of a way of weighing, one for each clip, in one line."""
    weights = np.array([voting.weights for voting in votings])
    weighed = (scores * weights).sum(axis=1)
    decided = weighed > np.array([voting.threshold for voting in votings])
    artificial = labels == members.AI
    area = metrics.roc_auc(artificial, weighed)
    alarms, missed = float(decided[~artificial].mean()), float((~decided[artificial]).mean())
    return f"ROC-AUC {area:.3f}, people called a machine {alarms:.3f}, machines called a person {missed:.3f}"


def without(scores: Rows, labels: Labels, clips: Sequence[Clip]) -> list[Voting]:
    """For each clip what is chosen without its fifth of the speakers."""
    found: list[Voting] = [VOTING[ensemble.PROFILE]] * len(clips)
    for split in by_group([clip.label for clip in clips], [clip.group for clip in clips]):
        voting = choose(scores[split.train], labels[split.train])
        for place in split.test.tolist():
            found[place] = voting
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints what is served, what these clips would choose, and what either is worth."""
    parser = argparse.ArgumentParser(prog="python -m training.voting", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    clips, scores = left_out(datasets_dir(parser.parse_args(arguments).data))
    labels = class_indices(clips, ensemble.RECIPE.classes)
    served, chosen = VOTING[ensemble.PROFILE], choose(scores, labels)
    print(f"{len(clips)} clips, each answered without its page, synthesiser and speaker")
    print(f"served: {served}\n  {judged(scores, labels, [served] * len(clips))}")
    print(f"chosen: {chosen}\n  {judged(scores, labels, [chosen] * len(clips))}")
    print(f"chosen without a fifth of the speakers:\n  {judged(scores, labels, without(scores, labels, clips))}")


if __name__ == "__main__":
    main()
