"""More recordings from the training parts of the other data sets: of LibriSpeech readers, and of speakers by name.

Only those whose licence is clear: the set of AI voices has further speakers (Telugu actors among them) without one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from models.training.datasets import Clip, read_manifest

FURTHER_SETS = ("voice_deepfake", "audio_scenes")
# Speakers of the set of AI voices whose pseudonym says it, and where they are from; LJ is Linda Johnson.
NAMED = {
    "opentamil-female": ("female", "Open Tamil"),
    "opentamil-male": ("male", "Open Tamil"),
    "lj": ("female", "LJ Speech"),
}
READER = re.compile(r"(?:libri-|ls)(\d+)")  # of LibriSpeech, as the sets name them


def further_clips(folder: Path, known: Sequence[Clip]) -> list[Clip]:
    """Human speech of the other sets by speakers whose sex is known.

    Readers who are in another part of the voice gender set are left out.

    Args:
        folder: Of all data sets.
        known: The training part of the voice gender set.

    Returns:
        Clips with its labels, and its names of speakers.
    """
    readers = {clip.group: clip for clip in known}
    speech = [clip for clip in read_manifest(folder / "voice_deepfake", "train") if clip.label == "HUMAN"]
    speech += [clip for clip in read_manifest(folder / "audio_scenes", "train") if clip.label == "speech"]
    return [labelled for clip in speech if (labelled := _labelled(clip, readers))]


def _labelled(clip: Clip, readers: Mapping[str, Clip]) -> Clip | None:
    if reader := READER.fullmatch(clip.group):
        same = readers.get(f"ls{reader[1]}")
        return replace(same, path=clip.path) if same else None
    label, source = NAMED.get(clip.group, ("", ""))
    return replace(clip, label=label, fields={**clip.fields, "source": source}) if label else None
