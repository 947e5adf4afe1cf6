"""Faces in pictures: found with YuNet, then cut out in the one framing that the gender model knows.

The training pictures and served photographs take exactly the same way: find, look closer, align by landmarks. A model
trained on aligned pictures (see ``models/face_gender``) is right about a photograph only if both are framed alike.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import Unprocessable

Picture = NDArray[np.uint8]
Points = NDArray[np.floating[Any]]

MODEL_FILE = Path(__file__).parent / "assets" / "face_detection_yunet_2023mar.onnx"
MIN_SCORE = 0.6  # the detector's own default is 0.9; every training picture scores above 0.7
# Of 100 validation pictures of adults 99 score above this upright; turned by 90 degrees none above 0.85, by 180 0.89.
CONVINCING = 0.9
CLEARER = 0.02  # by so much a turned face must score above the level one
MAX_TILT = 45.0  # degrees by which the line of the eyes may be off level
MAX_OVERLAP = 0.3  # intersection over union above which two boxes are one face
MAX_CANDIDATES = 200

SEARCHES = ((320, 96), (1024, 64))  # longest side (pixels) and border around it: coarse finds large faces, then fine
CLOSE_UP = 384  # side of the second, closer look (pixels): its landmarks repeat to about 1 % of the face
CLOSE_UP_REACH = 1.4  # its side in units of the longer side of the face
GREY = (127, 127, 127)  # beyond the edges; repeating the edge instead draws the landmarks aside
LARGE_ENOUGH = 0.5  # a closer look must find a face of at least this share of the first one's size

# Where the eyes, the nose and the corners of the mouth lie in an aligned crop, as shares of its side: the medians that
# YuNet gives on faces as dlib cuts them out for its own network (with a quarter of the face around it), made
# mirror-symmetric. FairFace's pictures are cut out so too: a wider crop would show nothing more of them.
TEMPLATE: NDArray[np.float32] = np.array(
    [[0.325, 0.314], [0.675, 0.314], [0.500, 0.516], [0.352, 0.667], [0.648, 0.667]], dtype=np.float32
)


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a picture.

    Attributes:
        box: Left, top, width and height (pixels of the picture); it may reach beyond the picture's edge.
        landmarks: float32 [5, 2], x and y (pixels) of right eye, left eye, nose, right and left corner of the mouth.
        score: The detector's confidence, 0 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: Points
    score: float

    @property
    def area(self) -> float:
        """Area of the box (square pixels)."""
        return self.box[2] * self.box[3]


class _PerThread(threading.local):
    """One network for each thread: OpenCV's detector keeps the input size and its buffers in itself."""

    def __init__(self) -> None:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it prints beside the structured log
        cv2.setNumThreads(1)  # several threads find faces at once; threads below each would only compete for the cores
        self.network: Any = cv2.FaceDetectorYN.create(
            str(MODEL_FILE), "", (CLOSE_UP, CLOSE_UP), MIN_SCORE, MAX_OVERLAP, MAX_CANDIDATES
        )


_LOCAL = _PerThread()


def find_faces(picture: Picture) -> list[Face]:
    """Finds the faces of a picture, the largest first.

    The picture is scaled to a bounded size and set in a border, so that a tight crop, whose face touches the edges, is
    found too. Small faces are looked for only where there is no large one.

    Args:
        picture: uint8 RGB [height, width, 3].

    Returns:
        The faces, none if there is none.
    """
    for side, border in SEARCHES:
        faces = _search(picture, side, border)
        if faces:
            return sorted(faces, key=lambda face: face.area, reverse=True)
    return []


def largest_face(picture: Picture) -> Face:
    """Finds the largest face of a picture, as ``locate_faces`` does.

    Raises:
        Unprocessable: There is no face.
    """
    return locate_faces(picture)[0]


def locate_faces(picture: Picture) -> list[Face]:
    """Finds the faces of a picture, the largest first, and the landmarks of that one in fine resolution.

    Where no upright face is convincing, the picture is looked at turned by a quarter, by a half and by three quarters:
    cameras that fell over, and pictures whose EXIF data was lost.

    Args:
        picture: uint8 RGB [height, width, 3].

    Returns:
        At least one face; of a picture that had to be turned, the largest one alone.

    Raises:
        Unprocessable: There is no face.
    """
    faces = find_faces(picture)
    level = _look_closer(picture, faces[0]) if faces else None
    if level is not None and level.score >= CONVINCING and is_level(level):
        return [level, *faces[1:]]
    turned = [face for quarters in (1, 2, 3) if (face := _face_of_turned(picture, quarters)) is not None]
    best = max(turned, key=lambda face: face.score, default=None)
    if best is not None and (level is None or best.score > level.score + CLEARER):
        return [best]
    if level is None:
        raise Unprocessable("no face was found in the picture")
    return [level, *faces[1:]]


def cut_out_face(picture: Picture, size: int) -> Picture:
    """Finds the largest face and cuts it out, as the face model reads it.

    Args:
        picture: uint8 RGB [height, width, 3].
        size: Side of the crop (pixels).

    Returns:
        uint8 RGB [size, size, 3].

    Raises:
        Unprocessable: There is no face.
    """
    return crop_face(picture, largest_face(picture), size)


def crop_face(picture: Picture, face: Face, size: int) -> Picture:
    """Cuts a face out of a picture, upright and in the framing of the training pictures.

    Args:
        picture: uint8 RGB [height, width, 3].
        face: A face of this picture.
        size: Side of the crop (pixels).

    Returns:
        uint8 RGB [size, size, 3]; what lies beyond the picture's edge repeats the edge.
    """
    fine = 2 * size  # drawn twice as large, then averaged: a shift by half a pixel must not change the sharpness
    patch, scale, corner = _square_around(picture, face, 2 * fine, cv2.BORDER_REPLICATE)
    matrix = similarity((face.landmarks - corner) * scale, TEMPLATE * fine)
    drawn = cv2.warpAffine(patch, matrix, (fine, fine), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def similarity(source: Points, target: Points) -> NDArray[np.float64]:
    """The rotation, scaling and shift that carries points onto others with the least squared error.

    Args:
        source: float [points, 2].
        target: float [points, 2].

    Returns:
        float64 [2, 3], as ``cv2.warpAffine`` takes it. Source: Umeyama, IEEE PAMI 13(4), 1991, in complex numbers.
    """
    a = source.astype(np.float64) @ (1, 1j)
    b = target.astype(np.float64) @ (1, 1j)
    a0, b0 = a.mean(), b.mean()
    factor = np.vdot(a - a0, b - b0) / max(np.vdot(a - a0, a - a0).real, 1e-12)
    shift = b0 - factor * a0
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def is_level(face: Face) -> bool:
    """Whether the line of the eyes is about level, with the right eye on the left."""
    across, down = face.landmarks[1] - face.landmarks[0]
    return bool(abs(np.degrees(np.arctan2(down, across))) <= MAX_TILT)


def _face_of_turned(picture: Picture, quarters: int) -> Face | None:
    """The largest face of a picture turned to the left by quarters, in pixels of the picture as it is."""
    turned = np.ascontiguousarray(np.rot90(picture, quarters))
    faces = find_faces(turned)
    if not faces:
        return None
    face = _look_closer(turned, faces[0])
    if not is_level(face):
        return None
    height, width = turned.shape[:2]
    x, y, across, down = face.box
    points = np.vstack([face.landmarks, [[x, y], [x + across, y + down]]])
    for _ in range(quarters):  # each undoes a quarter: what was at the top is at the right again
        points = np.column_stack([height - points[:, 1], points[:, 0]])
        height, width = width, height
    (left, top), (right, bottom) = points[5:].min(axis=0), points[5:].max(axis=0)
    box = (float(left), float(top), float(right - left), float(bottom - top))
    return Face(box, points[:5].astype(np.float32), face.score)


def _search(picture: Picture, side: int, border: int) -> list[Face]:
    """Faces of a picture at one scale, in the picture's own pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    framed = cv2.copyMakeBorder(scaled, border, border, border, border, cv2.BORDER_CONSTANT, value=GREY)
    return [_moved(face, 1 / scale, np.array([-border, -border]) / scale) for face in _detect(framed)]


def _look_closer(picture: Picture, face: Face) -> Face:
    """The same face with landmarks measured where it is about 130 pixels wide; unchanged if it is not found there."""
    patch, scale, corner = _square_around(picture, face, CLOSE_UP, cv2.BORDER_CONSTANT)
    found = [_moved(seen, 1 / scale, corner) for seen in _detect(patch)]
    centre = face.landmarks.mean(axis=0)
    same = [f for f in found if f.area > LARGE_ENOUGH**2 * face.area]
    return min(same, key=lambda f: float(np.linalg.norm(f.landmarks.mean(axis=0) - centre)), default=face)


def _square_around(picture: Picture, face: Face, side: int, border: int) -> tuple[Picture, float, NDArray[np.float64]]:
    """A square cut-out around a face: the pixels [side, side, 3], its scale, and its corner (x, y) in the picture."""
    x, y, width, height = face.box
    reach = CLOSE_UP_REACH * max(width, height)
    scale = side / reach
    corner = np.array([x + width / 2 - reach / 2, y + height / 2 - reach / 2])
    left, top = np.floor(corner).astype(int)
    right, bottom = np.ceil(corner + reach).astype(int)
    rows = slice(max(top, 0), max(bottom, 0))
    columns = slice(max(left, 0), max(right, 0))
    part = picture[rows, columns]
    target = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    part = cv2.resize(part, target, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    origin = np.array([columns.start, rows.start])
    shift = (origin - corner) * scale
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    patch = cv2.warpAffine(part, matrix, (side, side), borderMode=border, borderValue=GREY)
    return patch, scale, corner


def _detect(picture: Picture) -> list[Face]:
    """Runs the network at the picture's own size."""
    height, width = picture.shape[:2]
    _LOCAL.network.setInputSize((width, height))
    _, rows = _LOCAL.network.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return [] if rows is None else [_face(row) for row in np.asarray(rows, dtype=np.float32)]


def _face(row: Points) -> Face:
    """Reads one row of the detector: box, five points, score."""
    x, y, width, height = (float(value) for value in row[:4])
    return Face((x, y, width, height), row[4:14].reshape(5, 2).copy(), float(row[14]))


def _moved(face: Face, scale: float, offset: Points) -> Face:
    """A face scaled, then shifted by an offset (x, y)."""
    x, y, width, height = (value * scale for value in face.box)
    box = (x + float(offset[0]), y + float(offset[1]), width, height)
    return Face(box, (face.landmarks * scale + offset).astype(np.float32), face.score)
