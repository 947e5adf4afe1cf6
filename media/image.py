"""Pictures from strangers: bytes to an upright RGB array, bounded before anything is decoded."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from core.errors import BadRequest
from media.picture import DAMAGE, MAX_PIXELS, MAX_SIDE, read_header

Picture = NDArray[np.uint8]

TILE_SIDE = 1024  # pixels: what is converted at once, so that no second copy of a large picture is made
JPEG_END = b"\xff\xd9"
MOST_MISSING = 0.1  # of the rows of a JPEG that was cut off: what stands there is no part of a face as a rule
DEPTHS = (8, 10, 12, 14, 16)  # bits of a grey level in files of 16 bits
BACKGROUND = (255, 255, 255)  # below transparent pixels

_UPRIGHT = {  # what undoes each EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decodes a picture: the first frame, upright as EXIF says, transparency over white.

    Args:
        data: A file of one of ``media.picture.FORMATS``, recognised by its content.
        max_pixels: More than this is refused before decoding; and whatever takes more memory than so many pixels may
            (``media.picture.read_header``).

    Returns:
        uint8 RGB [height, width, 3]; the longer side is at most ``MAX_SIDE``.

    Raises:
        BadRequest: Empty, not a picture of a known kind, or damaged.
        PayloadTooLarge: Too large.
    """
    image = read_header(data, max_pixels).image
    try:
        try:
            image.load()
        except OSError:  # a camera that was cut off leaves no end: with one, the rows that are there can be read
            if image.format != "JPEG" or data.endswith(JPEG_END):
                raise
            image = read_header(data + JPEG_END, max_pixels).image
            image.load()
            _ensure_nearly_whole(image)
        upright = _upright(_small(image), image)
    except DAMAGE as error:
        raise BadRequest("the picture is damaged or cut off") from error
    return np.array(upright, dtype=np.uint8)


def _ensure_nearly_whole(image: Image.Image) -> None:
    """Refuses a picture of which more than ``MOST_MISSING`` is missing: the decoder fills those rows with one colour.

    Raises:
        OSError: It is.
    """
    pixels = np.asarray(image.convert("RGB"))
    filled = (pixels == pixels[-1, -1]).all(axis=(1, 2))[::-1]
    if np.argmin(filled) > MOST_MISSING * image.height:
        raise OSError("cut off")


def _small(image: Image.Image) -> Image.Image:
    """Converts to RGB and scales down, tile by tile: the picture in full size stays in its own mode."""
    factor = max(1, max(image.size) // MAX_SIDE)
    if factor == 1 and image.mode == "RGB" and not image.has_transparency_data:
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
        return image
    step = factor * max(1, TILE_SIDE // factor)
    shift = _shift(image)
    small = Image.new("RGB", (math.ceil(image.width / factor), math.ceil(image.height / factor)))
    for top, left in itertools.product(range(0, image.height, step), range(0, image.width, step)):
        tile = image.crop((left, top, min(left + step, image.width), min(top + step, image.height)))
        small.paste(_rgb(tile, shift).reduce(factor), (left // factor, top // factor))
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    return small


def _upright(image: Image.Image, source: Image.Image) -> Image.Image:
    """Applies the EXIF orientation of its source; unreadable EXIF data counts as none."""
    try:
        orientation = source.getexif().get(ExifTags.Base.Orientation)
    except DAMAGE:
        return image
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _shift(image: Image.Image) -> int:
    """Bits below the byte that is kept of greys of 16 bits, which may hold 10, 12 or 14 bits of a sensor."""
    if not image.mode.startswith("I"):
        return 0
    brightest = image.getextrema()[1]
    assert isinstance(brightest, int | float)  # noqa: S101 - of one channel
    return next(bits for bits in DEPTHS if brightest < 1 << bits or bits == DEPTHS[-1]) - 8


def _rgb(image: Image.Image, shift: int) -> Image.Image:
    """Converts any mode to RGB: 16-bit greys keep the byte above ``shift`` bits, transparency is put over white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image) >> shift
        image = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    overlay = image.convert("RGBA")
    canvas = Image.new("RGBA", overlay.size, (*BACKGROUND, 255))
    return Image.alpha_composite(canvas, overlay).convert("RGB")
