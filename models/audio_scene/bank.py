"""The training pictures: every clip several times over, each time recorded, mixed and coded a little differently.

Slow changes (rooms, codecs, resampling, level) are made once here on the samples; fast ones (SpecAugment, mixup, time
shift) are made on the pictures while training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dsp import kaldi
from models.audio_scene import SPEC, activity, synthetic
from models.audio_scene.activity import VoiceActivity
from models.audio_scene.processing import PROCESSOR
from models.audio_scene.silence import level
from models.training import augment
from models.training.augment import Audio
from models.training.codecs import CODECS, codec_round_trip
from models.training.datasets import class_indices, load_clips, read_manifest
from models.training.fingerprint import keyed

SPEECH, MUSIC, NOISE, SILENCE = range(4)
RATE = 16_000  # Hz
WINDOW_S = 2.56
# RMS levels (dBFS): wide, so that level alone decides nothing but true silence. The noise stops where rooms begin.
LEVELS = {SPEECH: (-66.0, -12.0), MUSIC: (-58.0, -12.0), NOISE: (-46.0, -12.0), SILENCE: (-90.0, -55.0)}
PICTURES = replace(PROCESSOR, max_length=2 * PROCESSOR.max_length)  # twice a window: training cuts windows out
MORE_SPEECH = ("voice_gender", "voice_deepfake")  # sets whose training parts have further speech
REAL_SHARE = 0.75  # of what is drawn for a class; the rest is other data sets' speech and made-up sounds


@dataclass(frozen=True, slots=True)
class Bank:
    """Pictures to train on.

    Attributes:
        pictures: float16 [items, frames, mel bins], log-mel energies before normalisation.
        labels: int64 [items].
        weights: float64 [items], sampling weights that balance the classes.
        activity: float16 [items, windows, dimensions], what the detector makes of a window from each of its chunks on,
            zero mean and unit variance; None without it.
    """

    pictures: NDArray[np.float16]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    activity: NDArray[np.float16] | None = None

    def heard(self, places: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the detector makes of windows, float32 [windows, dimensions].

        Args:
            places: int64 [windows], whose pictures.
            starts: int64 [windows], their first frames.
        """
        assert self.activity is not None  # noqa: S101 - asked only where there is one
        return self.activity[places, starts * kaldi.HOP // activity.CHUNK].astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Sources:
    """Raw material by class: real clips, and further ones."""

    real: dict[int, list[Audio]]
    extra: dict[int, list[Audio]]


def build(data: Path, variants: int, extras: int, seed: int, detector: VoiceActivity | None = None) -> Bank:
    """Makes the bank.

    Args:
        data: Folder of the data sets.
        variants: Pictures of each clip of the set.
        extras: Further pictures for each class.
        seed: Of every choice.
        detector: Listens to every picture's samples.
    """
    rng = np.random.default_rng(seed)
    sources = _sources(data, extras, rng)
    jobs = [(label, clip, True) for label, clips in sources.real.items() for clip in clips * variants]
    jobs += [(label, clip, False) for label, clips in sources.extra.items() for clip in clips]
    pictures = np.empty((len(jobs), PICTURES.max_length, PICTURES.mel_bins), np.float16)
    heard = []
    for place, (label, clip, _) in enumerate(tqdm(jobs, desc="pictures", unit="clip")):
        samples = PICTURES.fill(level(vary(clip, label, sources.real, rng)))
        pictures[place] = PICTURES.log_mel(samples)
        if detector:
            heard.append(detector.windows(samples, int(WINDOW_S * RATE)))
    labels = np.array([label for label, _, _ in jobs], np.int64)
    weights = _weights(labels, np.array([real for _, _, real in jobs]))
    return Bank(pictures, labels, weights, activity.standardised(np.stack(heard)) if detector else None)


def statistics(data: Path) -> tuple[float, float]:
    """Mean and standard deviation of the log-mel energies of the training clips as they are."""
    clips = load_clips(read_manifest(data / "audio_scenes", "train"), RATE)
    energies = np.stack([PICTURES.log_mel(clip) for clip in clips])
    return float(energies.mean(dtype=np.float64)), float(energies.std(dtype=np.float64))


def _sources(data: Path, extras: int, rng: np.random.Generator) -> _Sources:
    clips = read_manifest(data / "audio_scenes", "train")
    labels = class_indices(clips, SPEC.classes)
    audio = load_clips(clips, RATE)
    real = {label: [a for a, found in zip(audio, labels, strict=True) if found == label] for label in range(4)}
    extra = {
        SPEECH: _more_speech(data, extras, rng),
        MUSIC: [synthetic.music(rng) for _ in range(extras)],
        NOISE: [synthetic.noise(rng) for _ in range(extras)],
        SILENCE: [_quiet(rng) for _ in range(extras // 2)],
    }
    return _Sources(real, extra)


def _more_speech(data: Path, count: int, rng: np.random.Generator) -> list[Audio]:
    """Speech of other sets' training parts. LibriSpeech is left out: the scene set's validation voices are from it."""
    clips = [
        clip
        for name in MORE_SPEECH
        if (data / name).is_dir()
        for clip in read_manifest(data / name, "train")
        if "LibriSpeech" not in clip.fields["source"] and "Resemblyzer" not in clip.fields["source"]
    ]
    chosen = rng.permutation(len(clips))[:count]
    return load_clips([clips[place] for place in chosen], RATE)


def _quiet(rng: np.random.Generator) -> Audio:
    """The floor of a converter or a room: nothing, or faint noise of some colour, perhaps with mains hum."""
    if rng.random() < 0.2:
        return np.zeros(synthetic.SAMPLES, np.float32)
    wave = augment.coloured_noise(synthetic.SAMPLES, rng.uniform(0, 2.2), rng).astype(np.float64)
    if rng.random() < 0.3:
        time = np.arange(len(wave)) / RATE
        hum = np.sin(2 * np.pi * rng.choice([50, 60, 100, 120]) * time)
        return np.asarray(0.001 * (wave + rng.uniform(0.1, 1.5) * hum), np.float32)
    return np.asarray(0.001 * wave, np.float32)


def vary(clip: Audio, label: int, real: dict[int, list[Audio]], rng: np.random.Generator) -> Audio:
    """One picture's samples: a changed copy of a clip, float32 [samples]."""
    changed = _CHANGES(clip, rng)
    if label != SILENCE:
        changed = _mix(changed, label, real, rng)
        changed = augment.Sometimes(0.25, augment.Reverberation())(changed, rng)
    levelled = _level(changed, label, rng)
    if rng.random() < 0.4 and label != SILENCE:
        levelled = codec_round_trip(levelled, CODECS[rng.integers(len(CODECS))])
    if rng.random() < 0.5:
        levelled = np.asarray(np.round(levelled * 32768) / 32768, np.float32)
    return np.roll(levelled, int(rng.integers(len(levelled)))) if rng.random() < 0.5 else levelled


_CHANGES = augment.Chain(
    (
        augment.Crop(1.2, 6.0),
        augment.Sometimes(0.5, augment.Equaliser(4.0)),
        augment.Sometimes(0.3, augment.BandLimit(2_500.0, 7_800.0)),
        augment.Sometimes(0.4, augment.Speed(0.12)),
    )
)


def _mix(audio: Audio, label: int, real: dict[int, list[Audio]], rng: np.random.Generator) -> Audio:
    """Sometimes a second sound of the same class, or a faint one of another, underneath."""
    same = rng.random() < 0.5
    if rng.random() < 0.3:
        classes = [label] if same else [SPEECH, NOISE] if label == MUSIC else [MUSIC, NOISE]
        others = real[int(rng.choice(classes))] if same or label != NOISE else real[NOISE]
        low, high = (0.0, 15.0) if same else (14.0, 35.0)
        return augment.Noise(others, low, high)(audio, rng)
    return audio


def _level(audio: Audio, label: int, rng: np.random.Generator) -> Audio:
    """Sets the RMS level; half of the time within what recordings usually have, and silence keeps its own if quiet."""
    low, high = LEVELS[label]
    if label != SILENCE and rng.random() < 0.5:
        low = -38.0
    rms = np.sqrt(augment.power(audio))
    if rms < 1e-6 or (label == SILENCE and rng.random() < 0.6):
        return audio
    return np.asarray(np.clip(audio * (10 ** (rng.uniform(low, high) / 20) / rms), -1, 1), np.float32)


def _weights(labels: NDArray[np.int64], real: NDArray[np.bool_]) -> NDArray[np.float64]:
    weights = np.empty(len(labels))
    for label in np.unique(labels):
        for share, chosen in ((REAL_SHARE, real), (1 - REAL_SHARE, ~real)):
            members = (labels == label) & chosen
            weights[members] = share / max(1, members.sum())
    return np.asarray(weights / weights.sum(), np.float64)


def cached(
    path: Path, data: Path, variants: int, extras: int, seed: int, detector: VoiceActivity | None = None
) -> Bank:
    """The bank from a file of its own for these arguments, built first where there is none."""
    sets, detected = (SPEC.dataset or SPEC.name, *MORE_SPEECH), detector is not None
    path = keyed(path, data, sets, variants=variants, extras=extras, seed=seed, detected=detected)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        bank = build(data, variants, extras, seed, detector)
        np.savez(path, **{name: value for name, value in asdict(bank).items() if value is not None})
        return bank
    with np.load(path) as file:
        return Bank(**file)
