"""Makes pictures in memory, right ones and wrong ones."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RED, GREEN, BLUE = (220, 30, 20), (20, 200, 40), (30, 40, 210)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners() -> Image.Image:
    """48 wide, 32 high: red top left, green top right, blue below."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :24], pixels[:16, 24:], pixels[16:] = RED, GREEN, BLUE
    return Image.fromarray(pixels)


def near(pixel: NDArray[np.uint8], colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    """Whether a pixel is a colour, as far as lossy formats keep it."""
    return bool(np.abs(pixel.astype(int) - colour).max() <= tolerance)


def png(header: tuple[int, int, int, int], data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of a header (width, height, bits, colour type), compressed data and further chunks before it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    parts = [(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in parts)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to no data."""
    return png((width, height, 8, 2), zlib.compress(b"\0" * 1000))


def zeros(size: int) -> bytes:
    """So many bytes of zero, compressed; made in pieces."""
    packer = zlib.compressobj()
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush(zlib.Z_FINISH)
