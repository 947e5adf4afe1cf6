"""Where the data sets come from: for each part of them its public address, licence and what was done with it.

The manifests of all sets are kept in ``manifests/``: which files were chosen, from where, with which label, group and
split. That is the selection itself, and names each clip's own licence.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

MANIFESTS = Path(__file__).parent / "manifests"
RAW = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"

Row = Mapping[str, str]
Preparation = Literal["face", "heart", "none"]


@dataclass(frozen=True, slots=True)
class Origin:
    """One public source of a data set.

    Attributes:
        data: The data set.
        pattern: Finds its clips: searched in a row's ``source`` and ``origin``, joined by a bar. Named groups fill the
            address; ``file`` is the part of the path that differs.
        path: Path in the repository, or whole address; None where only a person can find the files.
        licence: Its terms.
        repository: On GitHub, owner and name.
        commit: The state that the files were taken from.
        preparation: How a clip is made from the file here; ``none`` where that hung on chance that was not recorded.
        note: What a person should know.
    """

    data: str
    pattern: str
    path: str | None
    licence: str
    repository: str = ""
    commit: str = ""
    preparation: Preparation = "none"
    note: str = ""

    def address(self, row: Row) -> str | None:
        """The address of a row's file; None where the row is of another origin, or has no address."""
        match = self.match(row)
        if match is None or self.path is None:
            return None
        path = self.path.format(**match.groupdict())
        if path.startswith("https://"):
            return path
        known = {"repository": self.repository, "commit": self.commit, **match.groupdict()}
        return RAW.format(**{**known, "path": quote(path)})

    def match(self, row: Row) -> re.Match[str] | None:
        """Whether a row is of this origin."""
        return re.search(self.pattern, f"{row['source']}|{row.get('origin', '')}")


CUT = "cut at a quiet moment that was not recorded"
ANEW = "cut and levelled by chance that was not recorded"
RESEMBLYZER = ("resemble-ai/Resemblyzer", "15d828edebe06bc72b9cabc8ef8ca5ab2cb457ce")
EMO_DB = ("sylaschacko/voice-emotion-analysis", "4b0f64c947b84beb43c8b1a7e7a6597a04902f02")
READ, OTHER = (
    "audio_data/librispeech_train-clean-100/{file}.flac",
    "audio_data/librispeech_test-other/{reader}/{file}.flac",
)
UTTERANCE = r"(?P<file>(?P<reader>\d+)-\d+-\d+)"
NO_TEXT = "usage unrestricted, no formal text: cite Burkhardt et al. 2005"
HEARTS = "free with citation, no formal text: Bentley et al. 2011"

ORIGINS = (
    Origin(
        "face_gender", r"UTKFace/(?P<file>[^|]+)", "data/UTKFace/unlabeled/{file}", "non-commercial research only",
        "mattans/AgeProgression", "2d937c615a3d10408db0ea795842e569bc9eedb0", "face",
        "same pictures; the JPEG bytes may differ with the resampling filter",
    ),
    Origin(
        "heart_sounds", r"PhysioNet challenge-2016 1.0.0 (?P<file>\S+\.wav)",
        "https://physionet.org/files/challenge-2016/1.0.0/{file}", "ODC-By 1.0", preparation="heart",
        note="samples may differ by one with the resampler",
    ),
    Origin(
        "heart_sounds", r"PASCAL set_(?P<file>\S+\.wav)", None, HEARTS, "xfeng986/heart-sounds",
        "95c183cb4e622345c4e4f66d40508352ea5da6ea", "heart",
        "text files of samples: save them as WAV (set A 44.1 kHz, set B 4 kHz) under the name in the manifest",
    ),
    Origin("voice_gender", r"^LibriSpeech train.*LibriSpeech " + UTTERANCE, READ, "CC BY 4.0", *RESEMBLYZER, note=CUT),
    Origin("voice_gender", r"^LibriSpeech test.*LibriSpeech " + UTTERANCE, OTHER, "CC BY 4.0", *RESEMBLYZER, note=CUT),
    Origin("voice_gender", r"\|EMO-DB (?P<file>\w+)", "wav/{file}.wav", NO_TEXT, *EMO_DB, note="padding cut off"),
    Origin(
        "voice_gender", r"smc/msc (?P<file>audio/\S+\.webm)", "{file}", "CC BY-SA 4.0", "smc/msc",
        "8fb543a5c794c2193cf1440c68ac3d3988c4b934", note=CUT,
    ),
    Origin("voice_gender", r"^VCTK", None, "CC BY 4.0", note=f"in five repositories, named in the manifest; {CUT}"),
    Origin("voice_gender", r"^Common Voice", None, "CC0 1.0", note=f"by clip number from Mozilla's releases; {CUT}"),
    Origin("audio_scenes", r"^LibriSpeech train.*LibriSpeech " + UTTERANCE, READ, "CC BY 4.0", *RESEMBLYZER, note=ANEW),
    Origin("audio_scenes", r"^LibriSpeech test.*LibriSpeech " + UTTERANCE, OTHER, "CC BY 4.0", *RESEMBLYZER, note=ANEW),
    Origin("audio_scenes", r"\|EMO-DB (?P<file>\w+)", "wav/{file}.wav", NO_TEXT, *EMO_DB, note=ANEW),
    Origin(
        "audio_scenes", r"^ESC-10", None, "CC0 1.0 or CC BY 3.0", "karolpiczak/ESC-10",
        "c74878ef556a00f83b477ee0e3281c30c0e923a7", note=f"by clip number in the folders of the classes; {ANEW}",
    ),
    Origin(
        "audio_scenes", r"openclonk (?P<file>planet/.*?\.(ogg|wav))", "{file}", "CC BY 3.0 or CC0 1.0",
        "openclonk/openclonk", "db975b4a887883f4413d1ce3181f303d83ee0ab5", note=ANEW,
    ),
    Origin(
        "audio_scenes", r"blanket (?P<file>data/.*?\.ogg)", "{file}", "CC0 1.0, CC BY, CC BY-SA, public domain",
        "rafaelmardojai/blanket", "8b1c27aedde1d6ad8053ce5ad351a2924bcdb766", note=ANEW,
    ),
    Origin(
        "audio_scenes", r"sonic-pi (?P<file>etc/.*?\.flac)", "{file}", "CC0 1.0", "sonic-pi-net/sonic-pi",
        "c0002065a976b1355e7889f4aa96a1804e2b8119", note=ANEW,
    ),
    Origin(
        "audio_scenes", r"sms-tools (?P<file>sounds/.*?\.wav)", "{file}", "CC BY 4.0", "MTG/sms-tools",
        "7d1d2c704336e0fec7ddcec75996dfbe53e35226", note=ANEW,
    ),
    Origin(
        "audio_scenes", r"librosa/data (?P<file>audio/.*?\.ogg)", "{file}", "CC BY 3.0 or public domain",
        "librosa/data", "450cdd8a002c98e7bdbfebb309fc1ed024001f77", note=ANEW,
    ),
    Origin(
        "audio_scenes", r"unknown-horizons (?P<file>content/.*?\.ogg)", "{file}", "CC BY-SA 3.0",
        "unknown-horizons/unknown-horizons", "fdc8e9692a46d1248af201c2c676c5239ee043e7", note=ANEW,
    ),
    Origin(
        "audio_scenes", r"beatgame (?P<file>assets/.*?\.ogg)", "{file}", "public domain, CC BY-SA 3.0; Ehlers unclear",
        "bydariogamer/beatgame", "79ca300cc23b5dc5a6f4e49dcee604601ec273a5", note=ANEW,
    ),
    Origin("audio_scenes", r"^generated", None, "CC0 1.0", note="zeros, dither, faint noise, by the manifest"),
    Origin(
        "voice_deepfake", r"github:(?P<repository>[^@\s]+)@(?P<commit>[0-9a-f]{12}):(?P<file>[^|]+)", "{file}",
        "by row of the manifest; nearly half without a clear one",
        note="cut, filtered, coded and mixed with noise by chance that was not recorded",
    ),
    Origin(
        "voice_deepfake", r"^made-here\||github:[^@\s]+@[0-9a-f]{12} ", None, "by row of the manifest",
        note="spoken by espeak-ng, flite and festival, or joined from word files",
    ),
)  # fmt: skip


def manifest(data: str) -> list[Row]:
    """The rows of a data set's manifest, as it was made."""
    with gzip.open(MANIFESTS / f"{data}.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def origin_of(data: str, row: Row) -> Origin:
    """The origin of a row.

    Raises:
        LookupError: None is known.
    """
    for origin in ORIGINS:
        if origin.data == data and origin.match(row):
            return origin
    raise LookupError(f"{data}: no origin is known for {row['file']}")
