"""Training examples: every recording several times, as other recorders and rooms might have caught it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.heart_sound import SPEC
from models.heart_sound.processing import MIN_SAMPLES, PROCESSOR, SAMPLE_RATE, features, unpack
from models.processing import Features
from training.data.datasets import class_indices, load_clips, read_manifest
from training.fitting.augment import coloured_noise, power
from training.fitting.fingerprint import keyed

KNOTS_HZ = (25.0, 50.0, 100.0, 200.0, 400.0, 1000.0)  # between which a random frequency response is interpolated


@dataclass(frozen=True, slots=True)
class Bank:
    """Examples in memory.

    Attributes:
        summaries: float32 [examples, statistics].
        pictures: Each example's picture, float32 [frames, bands].
        labels: int64 [examples].
        groups: Group of each example (days, patients).
    """

    summaries: Features
    pictures: list[Features]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]

    def subset(self, places: NDArray[np.int64]) -> Bank:
        """Only some of the examples."""
        chosen = [self.pictures[place] for place in places]
        return Bank(self.summaries[places], chosen, self.labels[places], self.groups[places])


def recordings(data: Path, split: str) -> Bank:
    """The recordings of a split as they are, prepared as while serving."""
    clips = read_manifest(data / "heart_sounds", "val" if split == "val" else "train")
    parts = [unpack(PROCESSOR.prepare(audio).features) for audio in load_clips(clips, SAMPLE_RATE)]
    groups = np.array([clip.group for clip in clips])
    return Bank(np.stack([s for s, _ in parts]), [p for _, p in parts], class_indices(clips, SPEC.classes), groups)


def varied(data: Path, variants: int, seed: int) -> Bank:
    """Changed copies of the training recordings, ``variants`` of each, one after the other."""
    clips = read_manifest(data / "heart_sounds", "train")
    audio = load_clips(clips, SAMPLE_RATE)
    rng = np.random.default_rng(seed)
    parts = [features(change(clip, rng)) for clip in tqdm(audio, unit="recording") for _ in range(variants)]
    labels, groups = class_indices(clips, SPEC.classes), np.array([clip.group for clip in clips])
    summaries, pictures = np.stack([s for s, _ in parts]), [p for _, p in parts]
    return Bank(summaries, pictures, labels.repeat(variants), groups.repeat(variants))


def cached(path: Path, data: Path, variants: int, seed: int) -> Bank:
    """``varied`` from a file, made first where there is none of this data and these arguments."""
    path = keyed(path, data, ("heart_sounds",), variants=variants, seed=seed)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        bank = varied(data, variants, seed)
        ends = np.cumsum([len(picture) for picture in bank.pictures])
        frames = np.concatenate(bank.pictures).astype(np.float16)
        np.savez(path, summaries=bank.summaries, frames=frames, ends=ends, labels=bank.labels, groups=bank.groups)
    with np.load(path) as file:
        pictures = np.split(file["frames"].astype(np.float32), file["ends"][:-1])
        return Bank(file["summaries"], pictures, file["labels"], file["groups"])


def change(audio: Features, rng: np.random.Generator) -> Features:
    """A piece of a recording through another microphone, at unit RMS.

    Args:
        audio: float32 [samples], 2 kHz.
        rng: Source of chance.

    Returns:
        float32 [samples], at least ``MIN_SAMPLES``.
    """
    out = _respond(_stretch(_crop(audio, rng), rng), rng)
    if rng.random() < 0.5:
        noise = coloured_noise(len(out), rng.uniform(0.0, 2.0), rng)
        out = out + noise * np.sqrt(power(out) * 10 ** (-rng.uniform(3.0, 35.0) / 10))
    if rng.random() < 0.15:  # an overloaded input
        out = np.tanh(out / np.sqrt(power(out) + 1e-12) * rng.uniform(0.2, 1.0))
    out = np.resize(out - out.mean(), max(len(out), MIN_SAMPLES))
    return np.asarray(out / max(np.sqrt(power(out)), 1e-9), np.float32)


def _crop(audio: Features, rng: np.random.Generator) -> Features:
    """Most of the recording, at least 3 s of it."""
    shortest = min(len(audio), 3 * SAMPLE_RATE)
    size = int(rng.integers(shortest, len(audio) + 1)) if rng.random() < 0.8 else len(audio)
    start = int(rng.integers(0, len(audio) - size + 1))
    return audio[start : start + size]


def _stretch(audio: Features, rng: np.random.Generator) -> Features:
    """Up to 8 % faster or slower."""
    factor = rng.uniform(0.92, 1.08)
    places = np.arange(0, len(audio) - 1, factor)
    return np.asarray(np.interp(places, np.arange(len(audio)), audio), np.float32)


def _respond(audio: Features, rng: np.random.Generator) -> Features:
    """A random smooth frequency response, sometimes with a low corner as in cheap microphones and stethoscopes."""
    hertz = np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE)
    gain = np.interp(np.log(hertz + 1), np.log(np.array(KNOTS_HZ) + 1), rng.normal(0, 4.0, len(KNOTS_HZ)))
    if rng.random() < 0.4:
        gain -= 12 * np.log2(np.maximum(hertz / rng.uniform(250, 900), 1))  # 12 dB an octave
    if rng.random() < 0.3:
        gain -= 12 * np.log2(np.maximum(rng.uniform(25, 70) / np.maximum(hertz, 1), 1))
    return np.fft.irfft(np.fft.rfft(audio) * 10 ** (gain / 20), len(audio)).astype(np.float32)
