"""Pictures from strangers: bytes to an upright RGB array, bounded before anything is decoded."""

from __future__ import annotations

import io
import itertools
import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from core.errors import BadRequest, PayloadTooLarge
from media.jpeg import has_more_scans
from media.signatures import not_picture

Picture = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # the only decoders that see the bytes
MAX_PIXELS = 50_000_000  # about 150 MB as RGB; phones make 12 to 50 million
# What a pixel of a format counts against the limit. Pillow keeps 4 bytes of it while it decodes; of WebP 16, since
# every file goes through the decoder of animations, which has a canvas for the present picture and one for the last.
PIXEL_COSTS = {"WEBP": 3}
MAX_SIDE = 2048  # pixels: larger pictures are scaled down, no face needs more
MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten, a bomb thousands of empty ones
TILE_SIDE = 1024  # pixels: what is converted at once, so that no second copy of a large picture is made
BACKGROUND = (255, 255, 255)  # below transparent pixels

# What Pillow's decoders raise on damaged data, besides its own OSError.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)

_UPRIGHT = {  # what undoes each EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.MAX_IMAGE_PIXELS = None  # Pillow only warns up to twice its limit; ``_open`` refuses, with our own limit


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decodes a picture: the first frame, upright as EXIF says, transparency over white.

    Args:
        data: A file of one of ``FORMATS``, recognised by its content.
        max_pixels: More than this is refused before decoding; of WebP, more than a third of it (``PIXEL_COSTS``).

    Returns:
        uint8 RGB [height, width, 3]; the longer side is at most ``MAX_SIDE``.

    Raises:
        BadRequest: Empty, not a picture of a known kind, or damaged.
        PayloadTooLarge: Too many pixels.
    """
    image = _open(data, max_pixels)
    try:
        image.draft(None, (MAX_SIDE, MAX_SIDE))  # JPEG: decodes at a half, a quarter or an eighth where that is enough
        image.load()
        upright = _upright(_small(image), image)
    except _DAMAGE as error:
        raise BadRequest("the picture is damaged or cut off") from error
    return np.array(upright, dtype=np.uint8)


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Reads the header and applies the bounds."""
    if not data:
        raise BadRequest("the picture file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except _DAMAGE as error:
        kind = not_picture(data)
        words = "the file is not a picture of a known kind (JPEG, PNG, WebP, BMP or GIF)"
        raise BadRequest(f"{words}: it is {kind}" if kind else words) from error
    width, height = image.size
    if width < 1 or height < 1:
        raise BadRequest("the picture has no pixels")
    limit = max_pixels // PIXEL_COSTS.get(image.format or "", 1)
    if width * height > limit:
        raise PayloadTooLarge(
            f"the picture has {width} x {height} pixels, more than the limit of {limit} for {image.format}"
        )
    if image.format in ("JPEG", "MPO") and has_more_scans(data, MAX_SCANS):
        raise BadRequest("the picture is damaged: it has too many scans")
    return image


def _small(image: Image.Image) -> Image.Image:
    """Converts to RGB and scales down, tile by tile: the picture in full size stays in its own mode."""
    factor = max(1, max(image.size) // MAX_SIDE)
    step = factor * max(1, TILE_SIDE // factor)
    small = Image.new("RGB", (math.ceil(image.width / factor), math.ceil(image.height / factor)))
    for top, left in itertools.product(range(0, image.height, step), range(0, image.width, step)):
        tile = image.crop((left, top, min(left + step, image.width), min(top + step, image.height)))
        small.paste(_rgb(tile).reduce(factor), (left // factor, top // factor))
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    return small


def _upright(image: Image.Image, source: Image.Image) -> Image.Image:
    """Applies the EXIF orientation of its source; unreadable EXIF data counts as none."""
    try:
        orientation = source.getexif().get(ExifTags.Base.Orientation)
    except _DAMAGE:
        return image
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _rgb(image: Image.Image) -> Image.Image:
    """Converts any mode to RGB: 16-bit greys keep their upper byte, transparency is put over white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image) >> 8
        image = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    overlay = image.convert("RGBA")
    canvas = Image.new("RGBA", overlay.size, (*BACKGROUND, 255))
    return Image.alpha_composite(canvas, overlay).convert("RGB")
