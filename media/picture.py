"""The headers of pictures: recognised, bounded, and read for what the decoding will take."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from core.errors import BadRequest, PayloadTooLarge
from media.jpeg import count_scans
from media.signatures import not_picture

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # the only decoders that see the bytes
MAX_PIXELS = 50_000_000  # phones make 12 to 50 million
MAX_LENGTH = 65_535  # pixels of a side, as of JPEG itself; decoders keep whole rows, beside the picture
MAX_SIDE = 2048  # pixels: larger pictures are scaled down, no face needs more
MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten, a bomb thousands of empty ones
# Bytes in full size for each pixel of the limit. A picture as RGB takes 4; a WebP 16, so that a third of the limit is
# left to it; a progressive JPEG up to 9, by its channels.
PIXEL_BYTES = Fraction(16, 3)

_DECODER_BYTES = {"WEBP": 12, "GIF": 1}  # beside the picture, a pixel: three canvases, the last frame
_RUNS, _RUN_BYTES = (1, 2), 2  # forms of BMP, and their bytes of a pixel: runs are written out twice
_NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # bytes of a pixel; of all other modes 4
_ROW_BYTES = 16  # of a pixel of PNG: two rows of four channels of 16 bits

# What Pillow's decoders raise on damaged data, besides its own OSError.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)

Image.MAX_IMAGE_PIXELS = None  # Pillow only warns up to twice its limit; ``read_header`` refuses, with our own limit


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a picture before it is decoded.

    Attributes:
        image: The picture; a JPEG is set to decode no larger than needed.
        full_bytes: What the picture will take in full size, in its own mode.
        decoder_bytes: What the decoder will keep beside it at most.
    """

    image: Image.Image
    full_bytes: int
    decoder_bytes: int


def read_header(data: bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """Reads the header of a picture and applies the bounds.

    Args:
        data: A file of one of ``FORMATS``, recognised by its content.
        max_pixels: Largest area; in full size the picture may take ``PIXEL_BYTES`` times so many bytes.

    Raises:
        BadRequest: Empty, or not a picture of a known kind.
        PayloadTooLarge: Its sides, its area, or what its format and mode take of memory are beyond the limits.
    """
    image = _open(data)
    width, height = image.size
    if width < 1 or height < 1:
        raise BadRequest("the picture has no pixels")
    if max(width, height) > MAX_LENGTH:
        raise PayloadTooLarge(f"the picture has {width} x {height} pixels; no side may have more than {MAX_LENGTH}")
    if width * height > max_pixels:
        raise PayloadTooLarge(f"the picture has {width} x {height} pixels, more than the limit of {max_pixels}")
    beside = _decoder_bytes(image, data)
    image.draft(None, (MAX_SIDE, MAX_SIDE))  # JPEG: decodes at a half, a quarter or an eighth where that is enough
    full = image.width * image.height * _NARROW.get(image.mode, 4)
    most = int(max_pixels * PIXEL_BYTES)
    if full + beside > most:
        raise PayloadTooLarge(
            f"the picture has {width} x {height} pixels, for which a decoder of {image.format} in this form takes "
            f"{full + beside} bytes, more than the limit of {most}"
        )
    return Header(image, full, beside)


def _open(data: bytes) -> Image.Image:
    if not data:
        raise BadRequest("the picture file is empty")
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except DAMAGE as error:
        kind = not_picture(data)
        words = "the file is not a picture of a known kind (JPEG, PNG, WebP, BMP or GIF)"
        raise BadRequest(f"{words}: it is {kind}" if kind else words) from error


def _decoder_bytes(image: Image.Image, data: bytes) -> int:
    """What a decoder keeps beside the picture.

    Raises:
        BadRequest: A JPEG has more scans than any encoder writes.
    """
    area = image.width * image.height
    if isinstance(image, JpegImageFile):
        scans = count_scans(data, MAX_SCANS)
        if scans > MAX_SCANS:
            raise BadRequest("the picture is damaged: it has too many scans")
        return _coefficient_bytes(image) if scans > 1 or image.info.get("progressive") else 0
    if image.format == "PNG":
        return image.width * _ROW_BYTES
    if image.info.get("compression") in _RUNS:
        return area * _RUN_BYTES
    return area * _DECODER_BYTES.get(image.format or "", 0)


def _coefficient_bytes(image: JpegImageFile) -> int:
    """The coefficients of a JPEG in several scans, two bytes each: all are kept until the last scan is read."""
    shares = [(across, down) for _, across, down, _ in image.layer]
    across, down = max(share[0] for share in shares), max(share[1] for share in shares)
    whole = (image.width + 8 * across) * (image.height + 8 * down)  # the last blocks are filled
    return 2 * whole * sum(share[0] * share[1] for share in shares) // (across * down)
