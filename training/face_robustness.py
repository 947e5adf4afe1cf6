"""What the served face model answers on pictures that it did not learn from, and how that changes with the picture.

``python -m training.face_robustness`` takes every picture the way of a request (detection, alignment, compiled network,
calibration), as it is and after each change, and writes ``training/face_robustness.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from core.errors import Unprocessable
from engine.compiled import CompiledEngine
from media.faces import cut_out_face
from models import registry
from models.calibration import Calibration
from models.face_gender import SPEC
from models.face_gender.processing import PROCESSOR
from models.store import IR_MODEL
from training.data.datasets import Clip, class_indices, datasets_dir, read_manifest
from training.evaluation import metrics

RESULTS = Path(__file__).parent / "face_robustness.json"
MOST = 5000  # pictures of each source: all
CHANGED = 50  # pictures of each source that are changed: an interval of about 7 points
ADULTS = (20, 69)  # years that the targets name, both ends in

Picture = NDArray[np.uint8]
Rows = NDArray[np.float32]


def jpeg(quality: int) -> Callable[[Picture], Picture]:
    """Compresses by so much."""

    def change(picture: Picture) -> Picture:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    return change


def turned(degrees: float) -> Callable[[Picture], Picture]:
    """Turns around the middle; the edge is repeated."""

    def change(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        return np.asarray(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return change


def small(side: int) -> Callable[[Picture], Picture]:
    """Scales the whole picture down."""
    return lambda picture: np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def blurred(deviation: float) -> Callable[[Picture], Picture]:
    """Blurs by a Gaussian of so many pixels, in a picture of 128."""
    return lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation), np.uint8)


CHANGES: Mapping[str, Callable[[Picture], Picture]] = {
    "JPEG quality 50": jpeg(50),
    "JPEG quality 20": jpeg(20),
    "blurred by 1 pixel": blurred(1.0),
    "blurred by 2 pixels": blurred(2.0),
    "64 pixels across": small(64),
    "40 pixels across": small(40),
    "turned by 10 degrees": turned(10.0),
    "turned by 20 degrees": turned(-20.0),
    "half as bright": lambda picture: np.asarray(picture // 2, np.uint8),
    "grey": lambda picture: np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, axis=2),
}


class ServedModel:
    """The bundled network, asked without a server.

    Args:
        weights: Its folder.
    """

    def __init__(self, weights: Path) -> None:
        self._engine = CompiledEngine(weights / IR_MODEL, threads=1)
        self._calibration = Calibration.load(weights)

    def __call__(self, picture: Picture) -> Rows:
        """Probabilities, float32 [classes], NaN where no face is found; the picture is uint8 BGR."""
        try:
            crop = cut_out_face(np.ascontiguousarray(picture[..., ::-1]), PROCESSOR.size)
        except Unprocessable:
            return np.full(len(SPEC.classes), np.nan, np.float32)
        batch = PROCESSOR.collate([PROCESSOR.prepare(crop).features])
        return np.asarray(self._calibration.probabilities(self._engine.infer(batch))[0], np.float32)


def unseen(data: Path, most: int) -> list[Clip]:
    """Pictures that the bundled weights did not learn from: UTKFace's validation part and FairFace, so many of each."""
    more = data / "face_gender_more"
    return [
        *read_manifest(data / "face_gender", "val")[:most],
        *[*read_manifest(more, "val"), *read_manifest(more, "train")][:most],
    ]


def source(clip: Clip) -> str:
    """UTKFace or FairFace."""
    return clip.fields["source"].replace("/", " ").split()[0]


def by_group(clips: Sequence[Clip], rows: Rows) -> dict[str, dict[str, float]]:
    """Accuracy, recalls and an interval of each source, age band and ethnicity; no face counts as wrong."""
    labels = class_indices(clips, SPEC.classes)
    rows = np.where(np.isnan(rows), 1.0 - np.eye(len(SPEC.classes))[labels], rows)
    ages = np.array([int(clip.fields["age"]) for clip in clips])
    adult = (ages >= ADULTS[0]) & (ages <= ADULTS[1])
    groups = {"all": np.ones(len(clips), bool), "20 to 69": adult, "others": ~adult}
    for name, key in (("", source), ("ethnicity ", lambda clip: clip.fields["ethnicity"])):
        values = np.array([key(clip) for clip in clips])
        groups |= {f"{name}{value}": values == value for value in sorted(set(values.tolist()))}
        groups |= {f"{name}{value}, 20 to 69": (values == value) & adult for value in sorted(set(values.tolist()))}
    return {name: _figures(labels[chosen], rows[chosen]) for name, chosen in groups.items() if chosen.any()}


def _figures(labels: NDArray[np.int64], rows: NDArray[np.floating[Any]]) -> dict[str, float]:
    share = metrics.accuracy(labels, rows)
    low, high = metrics.wilson(share, len(labels))
    female, male = metrics.recalls(labels, rows).tolist()
    return {"pictures": len(labels), "accuracy": share, "low": low, "high": high, "female": female, "male": male}


def flips(
    served: Callable[[Picture], Rows], pictures: Sequence[Picture], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Of the right answers, the share that is wrong or missing after each change."""
    before = np.stack([served(picture) for picture in pictures])
    found = ~np.isnan(before).any(axis=1)
    right = np.flatnonzero(found & (before.argmax(axis=1) == labels)).tolist()
    shares = {}
    for name, change in CHANGES.items():
        after = [served(change(pictures[place])) for place in right]
        wrong = [np.isnan(row).any() or row.argmax() != labels[place] for row, place in zip(after, right, strict=True)]
        shares[name] = float(np.mean(wrong))
    return shares


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(prog="python -m training.face_robustness", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    parser.add_argument("--most", type=int, default=MOST, help="pictures of each source (%(default)s)")
    parser.add_argument("--changed", type=int, default=CHANGED, help="pictures of each source that are changed")
    parser.add_argument("--weights", type=Path, default=registry.weights(SPEC.name))
    options = parser.parse_args(arguments)
    clips, served = unseen(datasets_dir(options.data), options.most), ServedModel(options.weights)
    pictures = [np.asarray(cv2.imread(str(clip.path)), np.uint8) for clip in clips]
    groups = by_group(clips, np.stack([served(picture) for picture in tqdm(pictures, mininterval=5)]))
    labels, changed = class_indices(clips, SPEC.classes), {}
    for name in sorted({source(clip) for clip in clips}):
        chosen = [place for place, clip in enumerate(clips) if source(clip) == name][: options.changed]
        changed[name] = flips(served, [pictures[place] for place in chosen], labels[chosen])
    RESULTS.write_text(json.dumps({"groups": groups, "flips": changed}, indent=1) + "\n")
    print(RESULTS.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
