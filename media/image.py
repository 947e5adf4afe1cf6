"""Untrusted pictures: bytes to an upright RGB array, bounded by their headers before anything is decoded."""

from __future__ import annotations

import io
import itertools
import math
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from core.errors import BadRequest, PayloadTooLarge
from media.containers import PICTURE_LABELS, PICTURES
from media.signatures import not_picture

END, START_OF_SCAN = 0xD9, 0xDA
MAX_SEGMENTS = 10_000  # that are looked at; a camera writes some tens, large notes take some hundreds
# Reads of a file: so many, and one more for so many bytes. Parts of usual pictures are longer.
MAX_READS, READ_BYTES = 5 * MAX_SEGMENTS, 64
MAX_RUN_READS = 4_000_000  # of a BMP, two for each run, which takes half a microsecond: no screenshot has so many
# Segments of EXIF data. A camera writes one. Pillow appends each to a copy of those before it: 130,000 took minutes.
EXIF, MAX_EXIF_SEGMENTS = b"Exif\0\0", 64

# What begins a segment: within coded data, 0xFF is followed by 0 or a restart marker (0xD0 to 0xD7).
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")


def count_scans(data: bytes, limit: int) -> int:
    """Counts the scans of the first picture; one more than the limit also for more segments than any picture needs.

    What follows its end (a film, a second picture) is none of it.

    Args:
        data: The file; one that is cut off or damaged is followed as far as it goes.
        limit: Number of scans beyond which counting ends.
    """
    scans, place = 0, 2
    for _ in range(MAX_SEGMENTS):
        marker = _MARKER.search(data, place)
        if marker is None or (kind := marker[1][0]) == END:
            return scans
        scans += kind == START_OF_SCAN
        if scans > limit:
            break
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return limit + 1


_DECODER_BYTES = {one.name.upper(): one.decoder_bytes for one in PICTURES}
FORMATS = tuple(_DECODER_BYTES)  # the only decoders that see the bytes
MAX_PIXELS = 50_000_000  # phones make 12 to 50 million
MAX_LENGTH = 65_535  # pixels of a side, as of JPEG itself; decoders keep whole rows, beside the picture
MAX_SIDE = 2048  # pixels: larger pictures are scaled down, no face needs more
MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten, a bomb thousands of empty ones
# Bytes in full size for each pixel of the limit. A picture as RGB takes 4; a WebP 16, so that a third of the limit is
# left to it; a progressive JPEG up to 9, by its channels.
PIXEL_BYTES = Fraction(16, 3)

_RUNS, _RUN_BYTES = (1, 2), 2  # forms of BMP, and their bytes of a pixel: runs are written out twice
_NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # bytes of a pixel; of all other modes 4
_ROW_BYTES = 16  # of a pixel of PNG: two rows of four channels of 16 bits

# What Pillow's decoders raise on damaged data, besides its own OSError.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)

# Pillow prints a line for each tag of EXIF data that is wrong: 10,000 of one picture, beside the structured log.
warnings.filterwarnings("ignore", module=r"PIL\.")
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


class _Parts(io.BytesIO):
    """A file that is refused when it is read in very many small parts: Pillow keeps each segment and each chunk."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        # A BMP in runs is rightly read byte by byte.
        self._left = MAX_RUN_READS if data.startswith(b"BM") else MAX_READS + len(data) // READ_BYTES
        self._exif_left = MAX_EXIF_SEGMENTS

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._left -= 1
        self._exif_left -= data.startswith(EXIF)
        if self._left < 0 or self._exif_left < 0:
            raise BadRequest("the picture is damaged: it has too many small parts")
        return data


def _open(data: bytes) -> Image.Image:
    if not data:
        raise BadRequest("the picture file is empty")
    try:
        return Image.open(_Parts(data), formats=FORMATS)
    except DAMAGE as error:
        kind = not_picture(data)
        words = f"the file is not a picture of a known kind ({PICTURE_LABELS})"
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


Picture = NDArray[np.uint8]

TILE_SIDE = 1024  # pixels: what is converted at once, so that no second copy of a large picture is made
JPEG_END = b"\xff\xd9"
MOST_MISSING = 0.1  # of the rows of a JPEG that was cut off: what stands there is no part of a face as a rule
DEPTHS = (8, 10, 12, 14, 16)  # bits of a grey level in files of 16 bits
BACKGROUND = (255, 255, 255)  # below transparent pixels


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decodes a picture: the first frame, upright as EXIF says, transparency over white.

    Args:
        data: A file of one of ``media.image.FORMATS``, recognised by its content.
        max_pixels: More than this is refused before decoding; and whatever takes more memory than so many pixels may
            (``media.image.read_header``).

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
            if not isinstance(image, JpegImageFile) or data.endswith(JPEG_END):
                raise
            image = read_header(data + JPEG_END, max_pixels).image
            image.load()
            _ensure_nearly_whole(image)
        if image.format == "BMP" and image.mode == "RGBA":
            _ensure_visible(image)
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


def _ensure_visible(image: Image.Image) -> None:
    """Makes a BMP opaque that is wholly transparent: many programs leave zeros there, and viewers show its colours."""
    if image.getchannel("A").getbbox() is None:
        image.putalpha(255)


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
        orientation = source.getexif().get(ExifTags.Base.Orientation, 1)
        image.info.clear()  # with the rest of the EXIF data, which would be written anew, and may be damaged
        image.getexif()[ExifTags.Base.Orientation] = orientation
        ImageOps.exif_transpose(image, in_place=True)
    except DAMAGE:
        pass
    return image


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
