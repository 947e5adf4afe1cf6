"""How the served face model's answers change with the picture: ``python -m training.face_robustness``.

Pictures that it did not learn from go the way of a request (detection, alignment, compiled network, calibration), as
they are and after each change. The figures go to ``training/robustness.json``, and from there into the card.
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
from models import completion, registry
from models.calibration import Calibration
from models.face_gender import SPEC
from models.face_gender.processing import PROCESSOR
from models.values import IR_MODEL
from training import robustness
from training.data.datasets import Clip, class_indices, datasets_dir, read_manifest

MOST = 50  # pictures of each source: an interval of about 5 points for both

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


def quarters(count: int) -> Callable[[Picture], Picture]:
    """Turns to the left by so many quarters, as a camera does that lies on its side and does not say so."""
    return lambda picture: np.ascontiguousarray(np.rot90(picture, count))


def cropped(share: float) -> Callable[[Picture], Picture]:
    """Takes away that share of the height and width at each edge."""

    def change(picture: Picture) -> Picture:
        down, across = (round(share * side) for side in picture.shape[:2])
        return np.ascontiguousarray(picture[down : picture.shape[0] - down, across : picture.shape[1] - across])

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
    "turned by 90 degrees": quarters(1),
    "turned by 180 degrees": quarters(2),
    "turned by 270 degrees": quarters(3),
    "a tenth cut off at each edge": cropped(0.1),
    "half as bright": lambda picture: np.asarray(picture // 2, np.uint8),
    "twice as bright": lambda picture: np.asarray(picture * 2.0, np.float32).clip(0, 255).astype(np.uint8),
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


def unseen(data: Path, most: int) -> dict[str, list[Clip]]:
    """Pictures that the bundled weights did not learn from, about so many of UTKFace and of FairFace, evenly spaced."""
    more = data / "face_gender_more"
    of_source = {
        "FairFace": [*read_manifest(more, "val"), *read_manifest(more, "train")],
        "UTKFace": read_manifest(data / "face_gender", "val"),
    }
    return {name: clips[:: max(1, len(clips) // most)][:most] for name, clips in of_source.items()}


def flips(
    served: Callable[[Picture], Rows], pictures: Sequence[Picture], labels: NDArray[np.int64]
) -> dict[str, list[bool]]:
    """Of each right answer, by the name of a change: whether it is wrong or missing after it."""
    before = np.stack([served(picture) for picture in tqdm(pictures, mininterval=10)])
    found = ~np.isnan(before).any(axis=1)
    right = np.flatnonzero(found & (before.argmax(axis=1) == labels)).tolist()
    turned = {}
    for name, change in tqdm(CHANGES.items(), mininterval=10):
        after = [served(change(pictures[place])) for place in right]
        turned[name] = [
            bool(np.isnan(row).any() or row.argmax() != labels[place]) for row, place in zip(after, right, strict=True)
        ]
    return turned


def measure(served: Callable[[Picture], Rows], clips: Mapping[str, Sequence[Clip]]) -> dict[str, Any]:
    """Shares of the right answers that each change turns, of all pictures and of each source.

    Args:
        served: Probabilities of a picture, float32 [classes], NaN where there is no face; the picture is uint8 BGR.
        clips: By source.
    """
    found = {
        name: flips(served, [np.asarray(cv2.imread(str(clip.path)), np.uint8) for clip in some], _labels(some))
        for name, some in clips.items()
    }
    every = {change: [flip for one in found.values() for flip in one[change]] for change in CHANGES}
    return {
        "clips": sum(map(len, clips.values())),
        "right": len(next(iter(every.values()))),
        "of": "unseen pictures",
        "turned": _shares(every),
        "by_source": {name: _shares(one) for name, one in found.items()},
    }


def _labels(clips: Sequence[Clip]) -> NDArray[np.int64]:
    return class_indices(clips, SPEC.classes)


def _shares(turned: Mapping[str, Sequence[bool]]) -> dict[str, float]:
    return {name: float(np.mean(flips)) for name, flips in turned.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(prog="python -m training.face_robustness", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    parser.add_argument("--most", type=int, default=MOST, help="pictures of each source (%(default)s)")
    parser.add_argument("--weights", type=Path, help="folder of the weights (default: the bundled ones)")
    options = parser.parse_args(arguments)
    weights = options.weights or registry.complete(SPEC.name)
    completion.complete(weights)
    found = measure(ServedModel(weights), unseen(datasets_dir(options.data), options.most))
    print(json.dumps(found, indent=1))
    robustness.keep({SPEC.name: found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
