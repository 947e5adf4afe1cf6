"""Training pictures: every clip through several channels, and machine-made copies of the human ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.deepfake_cnn import SPEC
from models.deepfake_cnn.processing import MIN_SAMPLES, PROCESSOR, SAMPLE_RATE, decibels
from models.processing import Features
from models.training import augment, resynthesis
from models.training.augment import Audio
from models.training.codecs import CODECS, codec_round_trip
from models.training.datasets import Clip, balanced_weights, class_indices, load_clips, read_manifest
from models.training.fingerprint import keyed

AI = SPEC.classes.index("AI_GENERATED")
# How far label, language within it, and system within that are balanced: rare languages have few speakers.
POWERS = (1.0, 0.5, 0.5)

CHANNEL = augment.Chain(
    (
        augment.Sometimes(0.15, augment.Reverberation(0.1, 0.4, 6.0, 20.0)),
        augment.Sometimes(0.5, augment.Noise((), 20.0, 50.0)),
        augment.Sometimes(0.2, augment.BandLimit(3_400.0, 7_600.0)),
        augment.Sometimes(0.5, augment.Speed(0.05)),
    )
)


@dataclass(frozen=True, slots=True)
class Bank:
    """Pictures to train on.

    Attributes:
        pictures: Each float16 [frames, BANDS], dB (``processing.decibels``).
        labels: int64 [pictures].
        weights: float64 [pictures], chance of each.
    """

    pictures: list[NDArray[np.float16]]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Validation:
    """Validation clips, prepared as while serving."""

    clips: list[Clip]
    features: list[Features]
    labels: NDArray[np.int64]


def validation(data: Path) -> Validation:
    """The validation part of the set."""
    clips = read_manifest(data / "voice_deepfake", "val")
    features = [PROCESSOR.prepare(audio).features for audio in load_clips(clips, SAMPLE_RATE)]
    return Validation(clips, features, class_indices(clips, SPEC.classes))


def build(data: Path, variants: int, seed: int) -> Bank:
    """Makes the pictures.

    Args:
        data: Folder of the data sets.
        variants: Pictures of each clip; the first is the clip as it is.
        seed: Of every choice.
    """
    rng = np.random.default_rng(seed)
    clips = read_manifest(data / "voice_deepfake", "train")
    audio, labels = load_clips(clips, SAMPLE_RATE), class_indices(clips, SPEC.classes)
    systems = [clip.fields["system"] for clip in clips]
    languages = [clip.fields["language"] for clip in clips]
    human = np.flatnonzero(labels != AI)[::2]
    for place in tqdm(human, desc="copy synthesis", unit="clip"):
        copy = (resynthesis.griffin_lim, resynthesis.linear_prediction)[int(rng.integers(2))]
        audio.append(copy(audio[place], rng))
        languages.append(languages[place])
        systems.append(f"copy-{copy.__name__}")
    labels = np.concatenate((labels, np.full(len(human), AI)))
    weights = balanced_weights(labels.tolist(), languages, systems, powers=POWERS)
    pictures = [
        _picture(clip, copy, rng) for clip in tqdm(audio, desc="pictures", unit="clip") for copy in range(variants)
    ]
    return Bank(pictures, labels.repeat(variants), weights.repeat(variants) / variants)


def _picture(clip: Audio, copy: int, rng: np.random.Generator) -> NDArray[np.float16]:
    changed = clip
    if copy:
        changed = CHANNEL(clip, rng)
        if rng.random() < 0.5:
            changed = codec_round_trip(changed, CODECS[rng.integers(len(CODECS))])
    if len(changed) < MIN_SAMPLES:
        changed = np.pad(changed, (0, MIN_SAMPLES - len(changed)))
    return decibels(changed).astype(np.float16)


def cached(path: Path, data: Path, variants: int, seed: int) -> Bank:
    """``build`` from a file, made first where there is none of this data and these arguments."""
    path = keyed(path, data, ("voice_deepfake",), variants=variants, seed=seed)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        bank = build(data, variants, seed)
        ends = np.cumsum([len(picture) for picture in bank.pictures])
        np.savez(path, frames=np.concatenate(bank.pictures), ends=ends, labels=bank.labels, weights=bank.weights)
    with np.load(path) as file:
        return Bank(np.split(file["frames"], file["ends"][:-1]), file["labels"], file["weights"])
