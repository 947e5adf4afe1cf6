"""Features of the training and validation clips, and what human speech looks like in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dsp.features import FEATURE_NAMES
from models.deepfake_mlp import SPEC
from models.deepfake_mlp.processing import PROCESSOR
from models.training import augment
from models.training.codecs import BIT_RATES, codec_round_trip
from models.training.datasets import class_indices, load_clips, read_manifest
from models.training.fingerprint import keyed

FOLDER = "voice_deepfake"
SAMPLE_RATE = 16_000  # Hz
CODEC_SHARE = 0.5  # of the changed copies
HUMAN_SPEECH = "human_speech.json"
PERCENTS = (1, 5, 25, 50, 75, 95, 99)
EVIDENCE_PRIOR = 10.0  # clips: so many are added to each class as if both were alike, against chance in thin tails

CHANGES = augment.Chain(
    (
        augment.Sometimes(0.5, augment.Crop(1.2, 3.0)),
        augment.Sometimes(0.25, augment.Reverberation(0.1, 0.4, 5.0, 18.0)),
        augment.Sometimes(0.3, augment.Equaliser(3.0)),
        augment.Sometimes(0.5, augment.Noise((), 12.0, 45.0)),
        augment.Sometimes(0.35, augment.BandLimit(3_400.0, 7_600.0)),
        augment.Gain(-15.0, 8.0),
    )
)


@dataclass(frozen=True, slots=True)
class Bank:
    """Measured clips.

    Attributes:
        features: float32 [clips, copies, 47]; the first copy is the clip as it is, the others are changed.
        labels: int64 [clips], positions in the model's classes.
        groups: For each clip the speaker (human speech and its re-synthesis) or the system (any other).
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]


def training(cache: Path, data: Path, copies: int, seed: int) -> Bank:
    """The training clips, measured once and then read from a file.

    Args:
        cache: The file, but for a key of data and arguments in its name; written where there is none.
        data: Folder of all data sets.
        copies: Changed copies of each clip.
        seed: Of the changes.
    """
    cache = keyed(cache, data, (FOLDER,), copies=copies, seed=seed, features=FEATURE_NAMES)
    if cache.exists():
        with np.load(cache) as stored:
            return Bank(stored["features"], stored["labels"], stored["groups"])
    clips = read_manifest(data / FOLDER, "train")
    rng = np.random.default_rng(seed)
    bar = tqdm(load_clips(clips, SAMPLE_RATE), desc="features", unit="clip", mininterval=5)
    features = np.stack([np.stack([_measure(a) for a in (audio, *_changed(audio, copies, rng))]) for audio in bar])
    groups = np.array([_group(clip.fields, clip.group) for clip in clips])
    bank = Bank(features, class_indices(clips, SPEC.classes), groups)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, features=bank.features, labels=bank.labels, groups=bank.groups)
    return bank


def validation(data: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features, float32 [clips, 47], and labels, int64 [clips], of the validation clips."""
    clips = read_manifest(data / FOLDER, "val")
    features = [_measure(audio) for audio in tqdm(load_clips(clips, SAMPLE_RATE), desc="validation", unit="clip")]
    return np.stack(features), class_indices(clips, SPEC.classes)


def folds(groups: NDArray[np.str_], count: int) -> NDArray[np.int64]:
    """A fold for each clip such that no group is in two; large groups are placed first, into the smallest fold.

    Args:
        groups: [clips].
        count: Number of folds.

    Returns:
        int64 [clips].
    """
    names, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    filled, fold = np.zeros(count), np.zeros(len(names), np.int64)
    for name in np.argsort(-sizes, kind="stable"):
        fold[name] = filled.argmin()
        filled[fold[name]] += sizes[name]
    return fold[place]


def describe_human_speech(bank: Bank) -> dict[str, Any]:
    """Distribution of each feature over human clips, and where AI-generated ones differ from it.

    Returns:
        What ``operations.explanation`` reads: for each feature its mean, standard deviation, quantiles by percentage,
        and the log ratio of AI-generated to human frequency below, between and above the quantiles.
    """
    original = bank.features[:, 0].astype(np.float64)
    human, generated = original[bank.labels == 0], original[bank.labels == 1]
    columns = {name: _describe(human[:, i], generated[:, i]) for i, name in enumerate(FEATURE_NAMES)}
    return {"human_clips": len(human), "ai_generated_clips": len(generated), "features": columns}


def write_human_speech(bank: Bank, weights: Path) -> None:
    """Writes the description beside the weights."""
    weights.mkdir(parents=True, exist_ok=True)
    (weights / HUMAN_SPEECH).write_text(json.dumps(describe_human_speech(bank), indent=1) + "\n")


def _describe(human: NDArray[np.float64], generated: NDArray[np.float64]) -> dict[str, Any]:
    """One feature."""
    quantiles = np.quantile(human, np.array(PERCENTS) / 100)
    counts = [np.bincount(np.searchsorted(quantiles, side, "right"), minlength=8) for side in (human, generated)]
    usual = counts[0] / len(human)
    shares = [(count + EVIDENCE_PRIOR * usual + 0.01) / (count.sum() + EVIDENCE_PRIOR) for count in counts]
    padded = np.pad(np.log(shares[1] / shares[0]), 1, mode="edge")
    evidence = padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4  # neighbours agree: single bins are few clips
    return {
        "mean": _rounded(human.mean()),
        "std": _rounded(human.std()),
        "quantiles": {str(p): _rounded(q) for p, q in zip(PERCENTS, quantiles, strict=True)},
        "evidence": [round(float(e), 3) for e in evidence],
    }


def _rounded(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")


def _measure(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    return PROCESSOR.prepare(audio).features


def _changed(audio: NDArray[np.float32], copies: int, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Copies as they may arrive: cut, in rooms, noisy, filtered, louder or softer, and half of them through a codec."""
    changed = [CHANGES(audio, rng) for _ in range(copies)]
    return [_through_codec(copy, rng) if rng.random() < CODEC_SHARE else copy for copy in changed]


def _through_codec(audio: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    name = list(BIT_RATES)[int(rng.integers(len(BIT_RATES)))]
    return codec_round_trip(audio, (name, int(rng.choice(BIT_RATES[name]))))


def _group(fields: Mapping[str, str], group: str) -> str:
    """Speaker of human speech and of what was re-synthesised from it; the system of anything else."""
    system = fields["system"]
    return group if system == "human" or system.startswith("copysyn") else system
