"""Recordings of the other data sets that the voice gender model learns from, and its teacher."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from models.training.datasets import read_manifest
from models.voice_gender import encoder
from models.voice_gender.encoder import SpeakerEncoder
from models.voice_gender.further import further_clips

GENDER = (
    ("a.flac", "female", "ls1", "LibriSpeech train-clean-100", "train"),
    ("b.flac", "male", "ls2", "LibriSpeech train-clean-100", "val"),
)
SCENES = (
    ("c.flac", "speech", "ls1", "LibriSpeech train-clean-100", "train"),
    ("d.flac", "speech", "ls2", "LibriSpeech train-clean-100", "train"),
    ("e.flac", "noise", "ls1", "ESC-10", "train"),
)
VOICES = (
    ("f.flac", "HUMAN", "te-emo-spkf01", "human", "train"),
    ("g.flac", "HUMAN", "opentamil-male", "human", "train"),
    ("h.flac", "HUMAN", "libri-1", "human", "train"),
    ("i.flac", "HUMAN", "libri-2", "human", "train"),
    ("j.flac", "HUMAN", "vctk-vits-ms01", "human", "train"),
    ("l.flac", "AI_GENERATED", "lj", "Grad-TTS", "train"),
    ("n.flac", "HUMAN", "opentamil-female", "human", "val"),
    ("o.flac", "HUMAN", "lj", "human", "train"),
)


def write(folder: Path, columns: str, rows: tuple[tuple[str, ...], ...]) -> None:
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns.split(","))
        writer.writerows(rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Manifests of three sets."""
    write(tmp_path / "voice_gender", "file,label,group_id,source,split", GENDER)
    write(tmp_path / "audio_scenes", "file,label,group_id,source,split", SCENES)
    write(tmp_path / "voice_deepfake", "file,label,speaker_or_group,system,split", VOICES)
    return tmp_path


def test_further_clips_have_the_label_of_their_speaker(data: Path) -> None:
    found = further_clips(data, read_manifest(data / "voice_gender", "train"))
    assert {(clip.path.name, clip.label, clip.group) for clip in found} == {
        ("c.flac", "female", "ls1"),
        ("g.flac", "male", "opentamil-male"),
        ("h.flac", "female", "ls1"),
        ("o.flac", "female", "lj"),
    }
    assert {clip.fields["source"] for clip in found} == {"LibriSpeech train-clean-100", "Open Tamil", "LJ Speech"}


LENGTHS = (100, 16_000, 25_440, 25_600, 25_601, 80_000)


def test_a_voice_of_any_length_has_an_embedding() -> None:
    """The level of a quiet one does not matter, nor who is embedded with it."""
    network = SpeakerEncoder().eval()
    rng = np.random.default_rng(0)
    clips = [(0.01 * rng.standard_normal(samples)).astype(np.float32) for samples in LENGTHS]
    embeddings = network.embed(clips)
    assert embeddings.shape == (len(clips), encoder.DIMENSIONS)
    for clip, embedding in zip(clips, embeddings, strict=True):
        np.testing.assert_allclose(network.embed([clip * np.float32(0.5)])[0], embedding, atol=1e-4)
