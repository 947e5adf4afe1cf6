"""The data sets as lists of clips, their audio in memory, and weights that balance them."""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Split = Literal["train", "val", "heldout"]

DATASETS_DIR = "DATASETS_DIR"  # environment variable
DEFAULT_FOLDER = Path("../shared/data")
GROUP_COLUMNS = ("group_id", "speaker_or_group")  # the speaker or recording that must not be on both sides of a split


@dataclass(frozen=True, slots=True)
class Clip:
    """One line of a data set's manifest.

    Attributes:
        path: The file.
        label: Class name as in the manifest.
        group: Speaker, recording or person; never in two splits.
        fields: Every column of the line by its name (``source``, ``language``, ``system``, ``age`` ...).
    """

    path: Path
    label: str
    group: str
    fields: Mapping[str, str]


def datasets_dir(given: Path | None = None) -> Path:
    """The folder of all data sets: the one given, else ``DATASETS_DIR``, else the default beside the project.

    Raises:
        SystemExit: There is no such folder; one line says what helps.
    """
    folder = given or Path(os.environ.get(DATASETS_DIR) or DEFAULT_FOLDER)
    if not folder.is_dir():
        missing(folder)
    return folder


def missing(what: Path) -> NoReturn:
    """Ends a command whose data is not there, with one line on how to get it and the status of a wrong command."""
    line = f"error: {what} is missing: {DATASETS_DIR} or --data names the folder of the data sets, which are not in "
    line += "this repository; python -m training.data.rebuild says where each comes from, and makes what can be made"
    print(line, file=sys.stderr)
    raise SystemExit(2)


def read_manifest(folder: Path, split: Split) -> list[Clip]:
    """The clips of one split, in the order of ``folder/manifest.csv``.

    Raises:
        SystemExit: The set is not there; one line says what helps.
        ValueError: The split has no clip.
    """
    if not (folder / "manifest.csv").is_file():
        missing(folder / "manifest.csv")
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    if not rows:
        raise ValueError(f"{folder / 'manifest.csv'} has no clip with split {split!r}")
    column = next(name for name in GROUP_COLUMNS if name in rows[0])
    return [Clip(folder / row["file"], row["label"], row[column], row) for row in rows]


def load_audio(path: Path, sample_rate: int) -> Audio:
    """Reads a file as mono.

    Returns:
        float32 [samples] in [-1, 1] at ``sample_rate`` (Hz); channels are averaged.
    """
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return np.ascontiguousarray(mono if rate == sample_rate else soxr.resample(mono, rate, sample_rate), np.float32)


def class_indices(clips: Sequence[Clip], classes: Sequence[str]) -> NDArray[np.int64]:
    """Labels as positions in ``classes``; letter case does not matter.

    Returns:
        int64 [clips].

    Raises:
        ValueError: A label is none of the classes.
    """
    places = {name.lower(): place for place, name in enumerate(classes)}
    unknown = {clip.label for clip in clips} - {c.label for c in clips if c.label.lower() in places}
    if unknown:
        raise ValueError(f"labels {sorted(unknown)} are none of {list(classes)}")
    return np.array([places[clip.label.lower()] for clip in clips], np.int64)


def balanced_weights(*keys: Sequence[Hashable], powers: Sequence[float] = ()) -> NDArray[np.float64]:
    """Sampling weights that make every value of a key equally likely, for several nested keys.

    The first key shares the whole evenly among its values, the second shares each of those evenly among the values
    that occur in it, and so on; within the last one all clips are alike. ``balanced_weights(labels, languages,
    systems)`` draws each label half of the time, within it each language alike, within that each system alike.

    Args:
        keys: One value for each clip, outermost key first.
        powers: One for each key, all 1 where none are given: 1 balances fully, 0 not at all; between them large
            groups keep some of their lead.

    Returns:
        float64 [clips], summing to 1.
    """
    paths = list(zip(*keys, strict=True))
    weights = np.ones(len(paths))
    for depth, power in enumerate(powers or (1.0,) * len(keys)):
        size = Counter(path[: depth + 1] for path in paths)
        total: defaultdict[tuple[Hashable, ...], float] = defaultdict(float)
        for path, count in size.items():
            total[path[:depth]] += count ** (1.0 - power)
        weights *= [size[path[: depth + 1]] ** (1.0 - power) / total[path[:depth]] for path in paths]
    size = Counter(paths)
    weights /= [size[path] for path in paths]
    return np.asarray(weights / weights.sum(), np.float64)


def draw(weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws places with given probabilities, as evenly as possible (systematic resampling), in random order.

    Args:
        weights: float64 [clips], summing to 1.
        count: How many.
        rng: Source of chance.

    Returns:
        int64 [count]; a place of weight w occurs floor(w count) or ceil(w count) times, give or take one.
    """
    order = rng.permutation(len(weights))
    marks = (np.arange(count) + rng.random()) / count
    picked = np.searchsorted(np.cumsum(weights[order]), marks).clip(max=len(weights) - 1)
    return rng.permutation(order[picked]).astype(np.int64)
