"""The audio containers and codecs that are read: their names, and how their first bytes identify them."""

from __future__ import annotations

import re

UNKNOWN = "unknown"

DEMUXERS = frozenset({"wav", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3", "aac", "loas", "amr", "matroska", "mov"})
"""FFmpeg demuxers that may be probed: no playlist, script or network description (hls, concat, dash, sdp ...)."""

CODECS = frozenset(
    {
        *("aac", "aac_latm", "alac", "flac", "vorbis", "opus", "libopus", "ac3", "eac3"),
        *("mp3", "mp3float", "mp2", "mp2float", "mp1", "mp1float"),
        *("amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb", "gsm", "gsm_ms"),
        *("adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8"),
        *("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
        *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
    }
)
"""FFmpeg decoders that may be opened: sound only, so that no video decoder ever reads a caller's bytes."""

SELF_DESCRIBED = frozenset({"aac", "aac_latm", "ac3", "eac3", "mp3", "mp3float", "mp2", "mp2float", "mp1", "mp1float"})
"""FFmpeg decoders of codecs whose every frame states its rate and channels, so that recordings can be joined."""

ESTIMATED_DURATION = frozenset({"mp3", "aac", "loas", "amr"})
"""Demuxers without an index: the duration they state is a guess from the bit rate, not a claim of the file."""

_NAMES = {"matroska": "webm", "mov": "m4a", "loas": "aac"}

_MIME_TYPES = {
    "wav": "audio/wav",
    "w64": "audio/x-w64",
    "aiff": "audio/aiff",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "webm": "audio/webm",
    "m4a": "audio/mp4",
}

_ALIASES = {
    **{"mp4": "m4a", "mov": "m4a", "quicktime": "m4a", "3gpp": "m4a", "3gpp2": "m4a", "3gp": "m4a"},
    **{"mkv": "webm", "matroska": "webm", "opus": "ogg", "oga": "ogg", "vorbis": "ogg"},
    **{"mpeg": "mp3", "mpeg3": "mp3", "wave": "wav", "aacp": "aac", "basic": "au", "aif": "aiff"},
}
_PREFIXES = re.compile(r"(?:audio/|video/|application/)?(?:x-|vnd\.)?(?:pn-)?")

_MAGIC = (
    (0, b"RIFF", "wav"),
    (0, b"RIFX", "wav"),
    (0, b"RF64", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"\x1a\x45\xdf\xa3", "webm"),
    (4, b"ftyp", "m4a"),
    (0, b"FORM", "aiff"),
    (0, b".snd", "au"),
    (0, b"caff", "caf"),
    (0, b"riff", "w64"),
    (0, b"#!AMR", "amr"),
    (0, b"ID3", "mp3"),
)


def sniff(data: bytes) -> str:
    """Tells a container by its first bytes, without decoding.

    Args:
        data: The file, or at least its first 12 bytes.

    Returns:
        One of the contract's names (``wav``, ``mp3``, ``m4a`` ...), another container's name, or ``unknown``.
    """
    for offset, magic, name in _MAGIC:
        if data.startswith(magic, offset):
            return name
    if len(data) >= 2 and data[0] == 0xFF:
        if data[1] & 0xF6 == 0xF0:  # ADTS: twelve sync bits, layer 0
            return "aac"
        if data[1] & 0xE0 == 0xE0 and data[1] & 0x06:  # MPEG audio: eleven sync bits, layer 1 to 3
            return "mp3"
    return UNKNOWN


def container_name(demuxer: str) -> str:
    """Gives the contract's name for FFmpeg's name of a demuxer (``mov,mp4,m4a,3gp,3g2,mj2`` is ``m4a``)."""
    first = demuxer.split(",")[0]
    return _NAMES.get(first, first)


def mime_type(container: str) -> str:
    """Gives the MIME type of a container named by :func:`sniff` or :func:`container_name`."""
    return _MIME_TYPES.get(container, "application/octet-stream")


def declared_container(name: str) -> str:
    """Gives the container that a caller names, by its short name or a media type (``audio/x-wav`` is ``wav``).

    Args:
        name: What the caller wrote, without parameters.

    Returns:
        A name of :func:`sniff`, or ``unknown``: ``application/octet-stream`` names none.
    """
    short = _PREFIXES.sub("", name.strip().lower(), count=1)
    short = _ALIASES.get(short, short)
    return short if short in _MIME_TYPES else UNKNOWN


def is_declared(container: str, declared: str) -> bool:
    """Says whether a container is the one that a caller declared; ``mp4`` is ``m4a``, ``opus`` is ``ogg`` and so on."""
    return declared_container(declared) == container
