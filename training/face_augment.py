"""Changes that leave a face's gender as it is: place, light, colour, sharpness, what is hidden."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

RECOLOURED, DEGRADED, HIDDEN = 0.4, 0.15, 0.1  # shares of the pictures
MAX_ROTATION = 12.0  # degrees
ZOOM = (0.88, 1.14)  # of the framing: landmarks are found to about 1 %, but faces differ in shape
MAX_SHIFT = 0.06  # share of the side
STRETCH = (0.94, 1.06)  # of width against height
GAMMA = (0.65, 1.5)
CONTRAST = (0.65, 1.4)
BRIGHTNESS = 30.0  # of 255
TINT = (0.88, 1.13)  # of each channel
JPEG_QUALITY = (25, 90)
HAT = (0.06, 0.24)  # share of the height that a hat hides; the eyes are at 0.31
OVAL_HEIGHT = 0.5  # where the middle of the oval of the face is, from the top; half its size across and down
OVAL_ACROSS, OVAL_DOWN = (0.34, 0.46), (0.36, 0.5)
LEAST_SIDE = 44  # pixels: how small a face may have been before it was scaled up


def augment(crop: Picture, size: int, rng: np.random.Generator) -> Picture:
    """One changed picture of the same face.

    Args:
        crop: uint8 RGB [side, side, 3], aligned.
        size: Side of the result (pixels).
        rng: Source of chance.

    Returns:
        uint8 RGB [size, size, 3].
    """
    picture = move(crop, size, rng)
    if rng.random() < RECOLOURED:
        picture = recolour(picture, rng)
    if rng.random() < DEGRADED:
        picture = degrade(picture, rng)
    if rng.random() < HIDDEN:
        picture = hide(picture, rng)
    return picture


def move(crop: Picture, size: int, rng: np.random.Generator) -> Picture:
    """Mirrors, turns, scales, stretches and shifts; what comes in from outside is grey, noise, or the edge repeated."""
    side = crop.shape[0]
    angle = np.deg2rad(np.clip(rng.normal(0, MAX_ROTATION / 2), -MAX_ROTATION, MAX_ROTATION))
    zoom = rng.uniform(*ZOOM) * size / side
    stretch = np.sqrt(rng.uniform(*STRETCH))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * turn @ np.diag([mirror * stretch, 1 / stretch])
    centre = size / 2 + rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * size
    matrix = np.column_stack([linear, centre - linear @ (side / 2, side / 2)])
    border = cv2.BORDER_REPLICATE if rng.random() < 0.7 else cv2.BORDER_CONSTANT
    colour = tuple(rng.integers(0, 256, 3).tolist())
    return np.asarray(cv2.warpAffine(crop, matrix, (size, size), borderMode=border, borderValue=colour), np.uint8)


def recolour(picture: Picture, rng: np.random.Generator) -> Picture:
    """Changes exposure, contrast and tint by one table a channel; sometimes takes the colour away."""
    levels = (np.arange(256) / 255.0) ** np.exp(rng.uniform(*np.log(GAMMA)))
    levels = (
        (levels - 0.5) * np.exp(rng.uniform(*np.log(CONTRAST))) * 255 + 127.5 + rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    )
    table = (levels[:, None] * rng.uniform(*TINT, 3)).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.12:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        picture = np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(cv2.LUT(picture, table[None]), np.uint8)


def degrade(picture: Picture, rng: np.random.Generator) -> Picture:
    """Blurs, scales down and up, adds noise, or compresses."""
    size = picture.shape[0]
    kind = rng.integers(4)
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.8)), np.uint8)
    if kind == 1:
        side = int(rng.integers(LEAST_SIDE, size))
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    if kind == 2:
        noise = rng.standard_normal(picture.shape, dtype=np.float32) * rng.uniform(2, 14)
        return np.asarray((picture + noise).clip(0, 255), np.uint8)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*JPEG_QUALITY))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def hide(picture: Picture, rng: np.random.Generator) -> Picture:
    """Covers a part with one colour: a rectangle (random erasing; Zhong et al., 2017), or the hair.

    Hair and clothes say much about most people and the wrong thing about some: the face must do without them, be it
    under a hat (all above the brows) or without anything around it.
    """
    size = picture.shape[0]
    shown = np.ones((size, size), np.uint8)
    kind = rng.choice(3, p=(0.4, 0.15, 0.45))
    if kind == 0:
        height, width = rng.integers(size // 8, size // 2, 2)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        shown[top : top + height, left : left + width] = 0
    elif kind == 1:
        shown[: int(rng.uniform(*HAT) * size)] = 0
    else:
        middle = (size // 2, round(OVAL_HEIGHT * size))
        half = [round(rng.uniform(*axis) * size) for axis in (OVAL_ACROSS, OVAL_DOWN)]
        shown = np.asarray(cv2.ellipse(np.zeros_like(shown), middle, half, 0, 0, 360, 1, -1), np.uint8)
    return np.where(shown[..., None] == 1, picture, rng.integers(0, 256, 3, dtype=np.uint8))
