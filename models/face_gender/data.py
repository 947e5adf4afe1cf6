"""The pictures that the face model learns from: listed, cut out as served photographs are, and kept in one array.

``python -m models.face_gender.data`` prints where the landmarks lie; ``media.faces.TEMPLATE`` comes from there.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from core.errors import Unprocessable
from media import faces
from models.face_gender import SPEC
from training.data.datasets import Clip, Split, class_indices, datasets_dir, read_manifest

FOLDER = "face_gender"
DEFAULT_CACHE = Path(".cache/face_gender")


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Aligned crops with what is known about them.

    Attributes:
        crops: uint8 RGB [pictures, size, size, 3].
        labels: int64 [pictures], index in ``SPEC.classes``.
        ages: int64 [pictures], years.
        ethnicities: str [pictures], as labelled by the data's authors.
        files: The pictures, in the same order.
    """

    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ages: NDArray[np.int64]
    ethnicities: NDArray[np.str_]
    files: tuple[Path, ...]


def load(datasets: Path, split: Split, size: int, cache: Path = DEFAULT_CACHE) -> FaceSet:
    """Loads one part as aligned crops; the first call cuts them out, later ones read the kept array.

    Pictures in which no face is found are left out, as serving refuses them.

    Args:
        datasets: Folder of all data sets.
        split: Which part.
        size: Side of the crops (pixels).
        cache: Folder for the array.
    """
    pictures = read_manifest(datasets / FOLDER, split)
    path = cache / f"{split}-{size}-{_fingerprint(pictures)}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack([cut(picture.path, size) for picture in tqdm(pictures, desc=f"cutting out {split}")]))
    crops = np.load(path)
    kept = np.flatnonzero(crops.any(axis=(1, 2, 3)))
    return _face_set(crops[kept], [pictures[place] for place in kept])


def cut(path: Path, size: int) -> NDArray[np.uint8]:
    """The aligned crop of a picture's largest face, uint8 RGB [size, size, 3]; all zeros if there is none."""
    picture = read_picture(path)
    try:
        return faces.cut_out_face(picture, size)
    except Unprocessable:
        return np.zeros((size, size, 3), dtype=np.uint8)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Reads a picture of the data set as uint8 RGB [height, width, 3]."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _fingerprint(pictures: Sequence[Clip]) -> str:
    """Changes with the list of pictures and with the code that cuts them out."""
    names = "\n".join(picture.path.name for picture in pictures)
    return hashlib.sha256(names.encode() + Path(faces.__file__).read_bytes()).hexdigest()[:12]


def _face_set(crops: NDArray[np.uint8], pictures: Sequence[Clip]) -> FaceSet:
    ages = np.array([int(picture.fields["age"]) for picture in pictures], dtype=np.int64)
    ethnicities = np.array([picture.fields["ethnicity"] for picture in pictures])
    labels = class_indices(pictures, SPEC.classes)
    return FaceSet(crops, labels, ages, ethnicities, tuple(picture.path for picture in pictures))


def main() -> None:
    """Prints the median landmarks of the training pictures as shares of the picture's side."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pictures", type=int, default=1000)
    options = parser.parse_args()
    found = []
    for picture in tqdm(read_manifest(datasets_dir(options.data) / FOLDER, "train")[: options.pictures]):
        array = read_picture(picture.path)
        found.append(faces.largest_face(array).landmarks / (array.shape[1], array.shape[0]))
    names = ("right eye", "left eye", "nose", "right mouth corner", "left mouth corner")
    for name, (x, y) in zip(names, np.median(found, axis=0), strict=True):
        print(f"{name}: {x:.3f} {y:.3f}")


if __name__ == "__main__":
    main()
