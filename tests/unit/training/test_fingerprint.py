"""Kept features are taken for what they were made of only."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.heart_sound import bank as heart
from tests.support.served import DATA
from training.fitting.fingerprint import keyed

HEARTS = ("heart_sounds", "hearts/normal_1.flac", "hearts/murmur_1.flac", "normal", "murmur")


def data_set(folder: Path, name: str, first: str, second: str, *labels: str) -> Path:
    """A data set of two clips with these labels."""
    rows = [
        {
            "file": str(DATA / file),
            "label": label,
            "group_id": file,
            "split": "train",
            "language": "en",
            "system": label,
        }
        for file, label in zip((first, second), labels, strict=True)
    ]
    (folder / name).mkdir(parents=True)
    with (folder / name / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.mark.parametrize(("make", "named"), [(heart.cached, HEARTS)], ids=["heart_sound"])
def test_other_data_or_arguments_are_not_answered_from_the_same_file(
    make: Callable[[Path, Path, int, int], Any], named: tuple[str, ...], tmp_path: Path
) -> None:
    data = data_set(tmp_path / "data", *named)
    exchanged = data_set(tmp_path / "exchanged", *named[:3], named[4], named[3])
    file, made = tmp_path / "work" / "bank.npz", []

    def kept(folder: Path, copies: int, seed: int) -> int:
        made.append(make(file, folder, copies, seed))
        return len(list(file.parent.iterdir()))

    assert kept(data, 1, 0) == 1
    assert kept(data, 1, 0) == 1, "the same is read"
    assert kept(exchanged, 1, 0) == 2
    assert made[2].labels.tolist() != made[0].labels.tolist()
    assert kept(data, 2, 0) == 3
    assert kept(data, 1, 7) == 4


def test_a_name_changes_with_whatever_decides_the_contents(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", *HEARTS)
    name = keyed(Path("x/bank.npz"), data, ("heart_sounds", "none"), seed=1, variants=2)
    assert name.parent == Path("x")
    assert name.match("bank-????????????.npz")
    assert name == keyed(Path("x/bank.npz"), data, ("heart_sounds", "none"), variants=2, seed=1)
    others = {
        keyed(Path("x/bank.npz"), data, ("heart_sounds",), seed=1, variants=2),
        keyed(Path("x/bank.npz"), data, ("none", "heart_sounds"), seed=1, variants=2),
        keyed(Path("x/bank.npz"), data, ("heart_sounds", "none"), seed=2, variants=1),
    }
    (data / "none").mkdir()
    (data / "none" / "manifest.csv").write_text("file\n")
    others.add(keyed(Path("x/bank.npz"), data, ("heart_sounds", "none"), seed=1, variants=2))
    assert len(others | {name}) == 5
