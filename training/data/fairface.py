"""Makes a set of faces from a clone of FairFace's public copy: ``python -m training.data.fairface CLONE --out FOLDER``.

``git clone https://github.com/sumanvithaeadala/EthnicityDetection CLONE`` gets it (264 MB). FairFace (Karkkainen and
Joo, WACV 2021) is published under CC BY 4.0. The pictures are taken as they are, as many of every cell of ethnicity,
age and gender as there are, up to a bound; which ones hangs on their names alone, so the same clone gives the same set.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.datasets import datasets_dir

COMMIT = "9b001ff28a8a"
LABELS = "fairface_label_train.csv"
PICTURES = "fair_face/"
LICENCE = "CC BY 4.0 (labels and set; pictures Flickr CC, photographers not named)"
KNOWN_SETS = ("face_gender", "face_gender_more")  # no picture of theirs is taken again
# A spreadsheet made dates of two bands in the copy's table. Ages are the middles of the bands, as in the known sets.
AGES = {
    "03-Sep": ("3-9", 6), "Oct-19": ("10-19", 15), "20-29": ("20-29", 25), "30-39": ("30-39", 35),
    "40-49": ("40-49", 45), "50-59": ("50-59", 55), "60-69": ("60-69", 65), "more than 70": ("70+", 75),
}  # fmt: skip
ETHNICITIES = {
    "East Asian": "Asian",
    "Southeast Asian": "Asian",
    "White": "White",
    "Black": "Black",
    "Indian": "Indian",
}
COLUMNS = ("file", "label", "group_id", "age", "ethnicity", "source", "licence", "split", "age_band", "race7")
HASH_SIDE = 32  # pixels of the grey picture whose cosine transform is hashed
HASH_KEPT = 8  # frequencies across and down: 64 bits
SAME_PICTURE = 8  # bits that may differ between two copies of one picture


def chosen(rows: Sequence[Mapping[str, str]], known: frozenset[str], most: int) -> list[Mapping[str, str]]:
    """The rows that are taken: up to ``most`` of each cell, in an order that hangs on the names alone.

    Args:
        rows: Of the table of labels.
        known: Groups that another set has already.
        most: Pictures of one ethnicity, age band and gender.
    """
    cells: dict[tuple[str, ...], list[Mapping[str, str]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["file"].encode()).digest()):
        if row["age"] in AGES and group(row) not in known:
            cells[row["race"], row["age"], row["gender"]].append(row)
    return [row for cell in sorted(cells) for row in cells[cell][:most]]


def group(row: Mapping[str, str]) -> str:
    """The group of a picture; the people are not named, so each picture is its own."""
    return "ff-" + row["file"].removesuffix(".jpg").replace("/", "-")


def described(row: Mapping[str, str]) -> dict[str, str]:
    """The manifest's row of a picture."""
    band, age = AGES[row["age"]]
    return {
        "file": f"images/{group(row)}.jpg",
        "label": row["gender"].lower(),
        "group_id": group(row),
        "age": str(age),
        "ethnicity": ETHNICITIES.get(row["race"], "Other"),
        "source": f"FairFace {row['file']}",
        "licence": LICENCE,
        "split": "train",
        "age_band": band,
        "race7": row["race"].replace(" ", "_"),
    }


def fingerprint(data: bytes) -> NDArray[np.bool_]:
    """A hash of what a picture shows, bool [64]: the signs of its lowest frequencies, whatever its size."""
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(grey, (HASH_SIDE, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:HASH_KEPT, :HASH_KEPT].ravel()
    return np.asarray(low > np.median(low))


def blobs(clone: Path, names: Sequence[str], commit: str = COMMIT) -> Iterator[bytes]:
    """Files of a clone's commit, without a work tree.

    Raises:
        KeyError: A file is not in it.
    """
    command = ["git", "-C", str(clone), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as git:  # noqa: S603 - no shell
        assert git.stdin is not None  # noqa: S101 - for the type checker
        assert git.stdout is not None  # noqa: S101 - as above
        for name in names:
            git.stdin.write(f"{commit}:{name}\n".encode())
            git.stdin.flush()
            head = git.stdout.readline().split()
            if head[-1] == b"missing":
                raise KeyError(name)
            yield git.stdout.read(int(head[-1]))
            git.stdout.read(1)
        git.stdin.close()


def make(clone: Path, known: Sequence[Path], out: Path, most: int, commit: str = COMMIT) -> int:
    """Writes the set; gives how many pictures it has.

    Args:
        clone: Of the public copy, bare or not.
        known: Folders of the sets whose pictures are left out, near copies of them too.
        out: Folder of the new set.
        most: Pictures of one cell.
        commit: State of the copy.
    """
    rows_known = [(folder, row) for folder in known for row in _manifest(folder)]
    seen = np.stack([fingerprint((folder / row["file"]).read_bytes()) for folder, row in rows_known])
    (table,) = blobs(clone, [LABELS], commit)
    labelled = list(csv.DictReader(io.StringIO(table.decode())))
    rows = chosen(labelled, frozenset(row["group_id"] for _, row in rows_known), most)
    (out / "images").mkdir(parents=True, exist_ok=True)
    made = []
    names = [PICTURES + row["file"] for row in rows]
    for row, data in zip(rows, blobs(clone, names, commit), strict=True):
        if (seen != fingerprint(data)).sum(1).min() > SAME_PICTURE:
            made.append(described(row))
            (out / made[-1]["file"]).write_bytes(data)
    with (out / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(made)
    return len(made)


def _manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the set and says how large it is."""
    parser = argparse.ArgumentParser(prog="python -m training.data.fairface", description=__doc__)
    parser.add_argument("clone", type=Path, help="of github.com/sumanvithaeadala/EthnicityDetection")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    parser.add_argument("--out", type=Path, default=Path("data/sets/fairface"), help="folder of the new set")
    parser.add_argument("--most", type=int, default=400, help="pictures of one ethnicity, age and gender (%(default)s)")
    options = parser.parse_args(arguments)
    folders = [datasets_dir(options.data) / name for name in KNOWN_SETS]
    print(f"{make(options.clone, folders, options.out, options.most)} pictures in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
