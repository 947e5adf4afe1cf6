"""The containers, codecs and formats of pictures that are read, and what headers of sound may not ask of FFmpeg.

Some kilobytes of tags, indices or codebooks can state gigabytes. Each kind that is refused here was seen to take
hundreds of megabytes, or gigabytes; no honest file needs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import BadRequest

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Container:
    """A container of sound: all that is known of it, in one place.

    Attributes:
        name: As the contract has it.
        mime_type: Its media type.
        demuxers: FFmpeg's names for it.
        magic: What it may begin with.
        label: How people write it; empty where it is read, but not named to callers.
        suffixes: Of its files, the usual one first, where it is named to callers.
        aliases: What else callers call it, with or without ``audio/x-`` and the like.
        magic_at: Bytes before ``magic``.
        libsndfile: Whether libsndfile is asked before FFmpeg.
        states_duration: Whether it has an index; without one FFmpeg guesses the duration from the bit rate.
    """

    name: str
    mime_type: str
    demuxers: tuple[str, ...]
    magic: tuple[bytes, ...]
    label: str = ""
    suffixes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    magic_at: int = 0
    libsndfile: bool = False
    states_duration: bool = True


_OF_WAV = (b"RIFF", b"RIFX", b"RF64", b"BW64")  # the last two are of more than 4 GiB, or may become so
_OF_M4A = ("mp4", "mov", "quicktime", "3gpp", "3gpp2", "3gp")
CONTAINERS = (
    Container("wav", "audio/wav", ("wav",), _OF_WAV, "WAV", (".wav",), ("wave",), libsndfile=True),
    Container("flac", "audio/flac", ("flac",), (b"fLaC",), "FLAC", (".flac",), libsndfile=True),
    Container("ogg", "audio/ogg", ("ogg",), (b"OggS",), "Ogg", (".ogg", ".opus"), ("opus", "oga", "vorbis")),
    Container("mp3", "audio/mpeg", ("mp3",), (b"ID3",), "MP3", (".mp3",), ("mpeg", "mpeg3"), states_duration=False),
    Container("webm", "audio/webm", ("matroska",), (b"\x1a\x45\xdf\xa3",), "WebM", (".webm",), ("mkv", "matroska")),
    Container("m4a", "audio/mp4", ("mov",), (b"ftyp",), "M4A", (".m4a",), _OF_M4A, magic_at=4),
    Container("aac", "audio/aac", ("aac", "loas"), (), "AAC", (".aac",), ("aacp",), states_duration=False),
    Container("aiff", "audio/aiff", ("aiff",), (b"FORM",), aliases=("aif",)),
    Container("au", "audio/basic", ("au",), (b".snd",), aliases=("basic",)),
    Container("caf", "audio/x-caf", ("caf",), (b"caff",)),
    Container("w64", "audio/x-w64", ("w64",), (b"riff",), libsndfile=True),  # FFmpeg misreads lengths of MS ADPCM
    Container("amr", "audio/amr", ("amr",), (b"#!AMR",), states_duration=False),
)


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A format of pictures.

    Attributes:
        name: How people write it; in capitals, Pillow's name.
        suffixes: Of its files.
        decoder_bytes: What its decoder keeps beside the picture (bytes a pixel), as far as no header tells.
    """

    name: str
    suffixes: tuple[str, ...]
    decoder_bytes: int = 0


PICTURES = (
    PictureFormat("JPEG", (".jpg", ".jpeg")),
    PictureFormat("PNG", (".png",)),
    PictureFormat("WebP", (".webp",), 12),  # three canvases
    PictureFormat("BMP", (".bmp",)),
    PictureFormat("GIF", (".gif",), 1),  # the last frame
)


def offered(*first: str) -> list[Container]:
    """The containers that are named to callers, in the order of the table but for those that come first."""
    return sorted((one for one in CONTAINERS if one.label), key=lambda one: [one.name != name for name in first])


def either(words: Iterable[str]) -> str:
    """Puts words into a sentence: ``wav, flac or ogg``."""
    *others, last = words
    return f"{', '.join(others)} or {last}"


NAMES = tuple(one.name for one in offered())
NOT_AUDIO = f"the data is not audio in a known format ({', '.join(NAMES)})"
SOUND_LABELS = either(one.label for one in offered("wav", "flac", "mp3"))
PICTURE_LABELS = either(one.name for one in PICTURES)

DEMUXERS = {demuxer: one for one in CONTAINERS for demuxer in one.demuxers}
"""By FFmpeg demuxers that may be probed: no playlist, script or network description (hls, concat, dash, sdp ...)."""

BY_LIBSNDFILE = frozenset(one.name for one in CONTAINERS if one.libsndfile)

_MIME_TYPES = {one.name: one.mime_type for one in CONTAINERS}
_NAMED = {alias: one.name for one in CONTAINERS for alias in (one.name, *one.aliases)}
_PREFIXES = re.compile(r"(?:audio/|video/|application/)?(?:x-|vnd\.)?(?:pn-)?")
_MAGIC = [(one.magic_at, magic, one.name) for one in CONTAINERS for magic in one.magic]
_MAGIC.sort(key=lambda row: -len(row[1]))  # the longest prove most

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


def mime_type(container: str) -> str:
    """Gives the MIME type of a container named by :func:`sniff`."""
    return _MIME_TYPES.get(container, "application/octet-stream")


def declared_container(name: str) -> str:
    """Gives the container that a caller names, by its short name or a media type (``audio/x-wav`` is ``wav``).

    Args:
        name: What the caller wrote, without parameters.

    Returns:
        A name of :func:`sniff`, or ``unknown``: ``application/octet-stream`` names none.
    """
    short = _PREFIXES.sub("", name.strip().lower(), count=1)
    return _NAMED.get(short, UNKNOWN)


def is_declared(container: str, declared: str) -> bool:
    """Says whether a container is the one that a caller declared; ``mp4`` is ``m4a``, ``opus`` is ``ogg`` and so on."""
    return declared_container(declared) == container


DAMAGED = "no sound could be decoded from the audio: it is empty or damaged"
MAX_DIMENSIONS, MAX_ENTRIES = 16, 1 << 16  # of a codebook; FFmpeg refuses more before it makes anything
MAX_CODEBOOK_VALUES = 1 << 20  # of a Vorbis stream, 4 bytes each; encoders make about 63,000

MAX_TRACKS = 32  # in a container
FEW_TRACKS = 8  # where the tracks state endless indices; FFmpeg bounds each (``media.audio.MAX_ALLOCATION``)
MAX_INDEX = 1 << 21  # samples of all tracks, about 50 bytes each; ten minutes of film with ten sounds have 0.7 million

_ID3 = (b"ID3\2", b"ID3\3", b"ID3\4")
_ID3_HEADER = 10  # bytes
MAX_TAGS = 1000  # at the beginning; players' programs write one of each version


def without_tags(data: bytes) -> bytes:
    """Takes ID3 tags out of a recording: leading ones are cut off, later ones are no longer recognised.

    A tag of a kilobyte can hold pictures that are compressed a thousandfold, and FFmpeg unpacks them all. What follows
    a leading tag is then recognised by its own first bytes.

    Raises:
        BadRequest: There is nothing but tags, or more of them than any recording has.
    """
    start = found = 0
    while data.startswith(b"ID3", start) and len(data) - start >= _ID3_HEADER:
        found += 1
        if found > MAX_TAGS:
            raise BadRequest(f"the audio is damaged: it begins with more than {MAX_TAGS} tags")
        size = 0
        for byte in data[start + 6 : start + _ID3_HEADER]:
            size = size << 7 | byte & 0x7F
        footer = _ID3_HEADER if data[start + 5] & 0x10 else 0
        start += _ID3_HEADER + size + footer
    if start >= len(data):
        raise BadRequest(DAMAGED)
    data = data[start:]
    for tag in _ID3:
        data = data.replace(tag, bytes(len(tag)))  # which takes no memory for each
    return data


def most_tracks(data: bytes) -> int:
    """How many tracks of a container FFmpeg may open.

    An MP4 file of some kilobytes can state an index of any length for each track, which FFmpeg builds. Honest lengths
    are told from the boxes ``stsz`` and ``trun``; uncompressed sound states a long one that is never built.
    """
    if not data.startswith(b"ftyp", 4) and b"moov" not in data[:16]:
        return MAX_TRACKS if sniff(data) == "webm" else FEW_TRACKS
    stated = 0
    for name, count_at in ((b"stsz", 12), (b"stz2", 12), (b"trun", 8)):
        place = data.find(name)
        while place >= 0 and stated <= MAX_INDEX:
            stated += int.from_bytes(data[place + count_at : place + count_at + 4])
            place = data.find(name, place + 4)
    return FEW_TRACKS if stated > MAX_INDEX or b"cmov" in data else MAX_TRACKS


def check_vorbis(header: bytes) -> None:
    """Refuses Vorbis headers whose codebooks would take more memory than any encoder's.

    A codebook is written as the number of its entries and dimensions, and becomes a table of their product. They begin
    at any bit, with the same 24 bits.

    Args:
        header: The headers of a stream, or one of them.

    Raises:
        BadRequest: They are too large together.
    """
    bits, values = int.from_bytes(header, "little"), 0
    for shift in range(8):
        aligned = (bits >> shift).to_bytes(len(header), "little")
        place = aligned.find(b"BCV")
        while place >= 0:
            dimensions = int.from_bytes(aligned[place + 3 : place + 5], "little")
            entries = int.from_bytes(aligned[place + 5 : place + 8], "little")
            if dimensions <= MAX_DIMENSIONS and entries <= MAX_ENTRIES:
                values += dimensions * entries
            place = aligned.find(b"BCV", place + 1)
    if values > MAX_CODEBOOK_VALUES:
        raise BadRequest("the audio is damaged: its Vorbis codebooks are too large")


_FIRST_PAGE = re.compile(rb"OggS\0[\x02\x03\x06\x07]")  # of a stream; random bytes look like it once in 2^46
_HEADER = 27  # bytes of a page before its table of segments
MAX_LINKS = 256  # of a chain; the mark of a first page has 6 bytes, and each link is a copy and a new decoder


def ogg_links(data: bytes) -> list[bytes]:
    """Divides a file where a link begins: at the first pages of its streams, which follow one another.

    FFmpeg goes on with the decoder of the first link, which fails where the rate or the channels are others.

    Args:
        data: An Ogg file.

    Returns:
        The links, the file itself where it has one.

    Raises:
        BadRequest: There are more than any recording has.
    """
    starts: list[int] = []
    expected = 0
    for found in _FIRST_PAGE.finditer(data):
        place = found.start()
        if place != expected or not starts:
            starts.append(place)
        if len(starts) > MAX_LINKS:
            raise BadRequest(f"the audio begins anew more than {MAX_LINKS} times")
        table = data[place + _HEADER - 1 : place + _HEADER]
        segments = data[place + _HEADER : place + _HEADER + sum(table)]
        expected = place + _HEADER + len(segments) + sum(segments)
    if len(starts) < 2:
        return [data]
    return [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]
