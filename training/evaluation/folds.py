"""Which clips are trained on and which are predicted: by person, by source, by synthesiser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """One division of a list of clips; a clip may be in neither part.

    Attributes:
        train: Positions of the clips to fit on.
        test: Positions of the clips to predict.
        name: What is left out, for tables.
    """

    train: Places
    test: Places
    name: str


def by_group(labels: Sequence[str], groups: Sequence[str], folds: int = 5, seed: int = 0) -> list[Split]:
    """Cross-validation in which no person, recording or picture is on both sides; classes are spread evenly.

    Args:
        labels: Class of each clip.
        groups: Group of each clip; the clips of a group stay together.
        folds: Number of splits; every clip is predicted once.
        seed: Of the assignment of groups to folds.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts = splitter.split(np.zeros(len(labels)), np.array(labels), np.array(groups))
    return [Split(train, test, f"fold {place + 1}") for place, (train, test) in enumerate(parts)]


def leave_out(units: Sequence[str], *shared: Sequence[Hashable], smallest: int = 1) -> list[Split]:
    """Leaves out one unit (a source, a repository) at a time.

    Clips of other units that share a person or a synthesiser with the unit that is left out are in neither part.

    Args:
        units: Unit of each clip.
        *shared: For each property that must not be on both sides, its value for each clip; an empty one is ignored.
        smallest: Units with fewer clips are never left out, but trained on.
    """
    names = np.array(units)
    sizes = Counter(units)
    splits = []
    for unit in sorted(sizes):
        if sizes[unit] >= smallest:
            test = names == unit
            train = _purged(test, shared)
            splits.append(Split(np.flatnonzero(train), np.flatnonzero(test), unit))
    return splits


def leave_many_out(units: Sequence[str], *shared: Sequence[Hashable], folds: int = 5, seed: int = 0) -> list[Split]:
    """Leaves out several units at a time: every clip is predicted once, and few networks are fitted.

    Args:
        units: Unit of each clip; the largest are dealt first, each to the fold with the fewest clips.
        *shared: As for ``leave_out``.
        folds: Number of splits.
        seed: Decides among units of one size.
    """
    sizes = Counter(units)
    order = np.random.default_rng(seed).permutation(sorted(sizes))
    content = np.zeros(folds, np.int64)
    fold_of: dict[str, int] = {}
    for unit in sorted(order.tolist(), key=lambda name: -sizes[name]):
        fold_of[unit] = int(content.argmin())
        content[fold_of[unit]] += sizes[unit]
    places = np.array([fold_of[unit] for unit in units])
    return [
        Split(np.flatnonzero(_purged(places == fold, shared)), np.flatnonzero(places == fold), f"fold {fold + 1}")
        for fold in range(folds)
    ]


def _purged(test: NDArray[np.bool_], shared: Sequence[Sequence[Hashable]]) -> NDArray[np.bool_]:
    """Clips that are not tested and share nothing with those that are, bool [clips]."""
    train = ~test
    for values in shared:
        met = {value for value, tested in zip(values, test, strict=True) if tested and value}
        train &= np.array([value not in met for value in values])
    return train
