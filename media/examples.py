"""Small recordings and a face that the bundle carries, so that its documentation can be tried as it is."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).parent / "assets" / "examples"

# Served under ``/examples/``, by name; their origins and terms are in the folder's README.
MEDIA_TYPES = {
    "voice.flac": "audio/flac",
    "voice.ogg": "audio/ogg",
    "music.flac": "audio/flac",
    "heart.pcm": "application/octet-stream",
    "face.jpg": "image/jpeg",
}

# Where ``/analyze-audio`` finds the music without a network. No host can ever have a name that ends in ``.invalid``
# (RFC 2606), so no real file is hidden.
MUSIC_URL = "http://examples.invalid/music.flac"


def read(name: str) -> bytes:
    """The bytes of one example.

    Raises:
        KeyError: There is no such example.
    """
    return path(name).read_bytes()


def path(name: str) -> Path:
    """Where one example lies.

    Raises:
        KeyError: There is no such example.
    """
    if name not in MEDIA_TYPES:
        raise KeyError(name)
    return _ROOT / name


def carried(url: str) -> bytes | None:
    """What stands at an address that only this bundle knows; None for every other address."""
    return read("music.flac") if url == MUSIC_URL else None
