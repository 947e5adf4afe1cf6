"""The recordings that the voice and scene models learn from, and what may happen to a recording on its way.

Six forms of each clip: as it is, through a codec, with something in the background, through a room or a telephone, worn
(much noise or music behind it, or overdriven), and copied: treated once more as the sets were, half of the human clips
after a vocoder has made them again, so that no person spoke them.
Chance is drawn from the clip's own name, so a clip has the same forms in every recipe and every run.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr

from training.data import codecs, voice_treatment
from training.data.datasets import Clip, load_audio, read_manifest
from training.fitting import augment, vocoders
from training.fitting.augment import Audio

RATE = 16_000  # Hz
FORMS = ("plain", "codec", "background", "channel", "worn", "copied")
FETCHED = "_further"  # ends the names of sets that are fetched, which have no validation part
SOUNDS = ("music", "noise", "silence")  # labels that are not of speech
BIT_RATES = {name: [rate for rate in rates if rate >= 16_000] for name, rates in codecs.BIT_RATES.items()}
BACKGROUND_DB = (6.0, 30.0)  # ratio of a clip to what is behind it
WORN_DB = (5.0, 25.0)  # likewise, where much is behind it
OVERDRIVEN_DB = (8.0, 24.0)  # gain that drives a clip over full scale
TELEPHONE_HZ = 8_000  # sample rate of mu-law telephony (ITU-T G.711)
MU = 255.0


def clips(data: Path, *names: str) -> list[Clip]:
    """The training and validation clips of those data sets that are there, in the order of the names."""
    found: list[Clip] = []
    for name in names:
        if (data / name).is_dir():
            found += read_manifest(data / name, "train")
            found += [] if name.endswith(FETCHED) else read_manifest(data / name, "val")
    return found


def is_copy(clip: Clip) -> bool:
    """Whether the form ``copied`` of a clip is a vocoder's; that of the others is treated in the same way without."""
    return clip.label == "HUMAN" and zlib.crc32(_name(clip).encode()) % 2 == 0


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """Recordings to put behind others, of the training parts."""

    noise: Sequence[Audio]
    music: Sequence[Audio]


@lru_cache(maxsize=1)
def backgrounds(data: Path) -> Backgrounds:
    """Noise and music of the scene sets."""
    scenes = [clip for name in ("audio_scenes", "audio_scenes_more") for clip in read_manifest(data / name, "train")]
    banks = {label: [load_audio(clip.path, RATE) for clip in scenes if clip.label == label] for label in SOUNDS[:2]}
    return Backgrounds(banks["noise"], banks["music"])


def form(clip: Clip, name: str, data: Path) -> Audio:
    """One form of a clip, float32 [samples] at ``RATE``.

    Args:
        clip: Of any data set.
        name: Of ``FORMS``.
        data: Folder of all data sets, for the backgrounds.
    """
    audio = load_audio(clip.path, RATE)
    rng = np.random.default_rng(zlib.crc32(f"{_name(clip)} {name}".encode()))
    if name == "codec":
        return _coded(audio, rng)
    if name == "background":
        return _with_background(audio, clip.label, backgrounds(data), rng)
    if name == "worn":
        return _worn(audio, backgrounds(data), rng)
    if name == "copied":
        return _copied(audio, rng, vocoded=is_copy(clip))
    return _through_channel(audio, rng) if name == "channel" else audio


def _name(clip: Clip) -> str:
    return f"{clip.path.parent.name}/{clip.path.name}"


def _coded(audio: Audio, rng: np.random.Generator) -> Audio:
    encoder = list(BIT_RATES)[rng.integers(len(BIT_RATES))]
    return codecs.codec_round_trip(audio, (encoder, int(rng.choice(BIT_RATES[encoder]))))


def _with_background(audio: Audio, label: str, banks: Backgrounds, rng: np.random.Generator) -> Audio:
    """Speech gets noise or music behind it, music gets noise; noise and silence get another colour only."""
    if rng.random() < 0.5:
        audio = augment.Equaliser(4.0)(audio, rng)
    if label in ("noise", "silence"):
        return audio
    bank = banks.music if label != "music" and rng.random() < 0.3 else banks.noise
    mixed = augment.Noise(bank, *BACKGROUND_DB)(audio, rng)
    return _coded(mixed, rng) if rng.random() < 0.3 else mixed


def _worn(audio: Audio, banks: Backgrounds, rng: np.random.Generator) -> Audio:
    """Noise or music behind a clip, overdriven, or both; then perhaps a telephone or a codec."""
    drawn = rng.random()
    if drawn < 0.75:
        audio = augment.Noise(banks.music if rng.random() < 0.4 else banks.noise, *WORN_DB)(audio, rng)
    if drawn > 0.65:
        audio = np.clip(audio * np.float32(10 ** (rng.uniform(*OVERDRIVEN_DB) / 20)), -1.0, 1.0)
    if rng.random() < 0.15:
        audio = telephone(audio)
    return _coded(audio, rng) if rng.random() < 0.3 else audio


def _copied(audio: Audio, rng: np.random.Generator, *, vocoded: bool) -> Audio:
    """A clip treated as those of the sets, with its own background behind it: copies differ by the vocoder alone."""
    speech = vocoders.copied(audio, rng) if vocoded else audio
    return voice_treatment.treated(speech, voice_treatment.background(audio), rng)[0]


def _through_channel(audio: Audio, rng: np.random.Generator) -> Audio:
    chain = augment.Chain(
        [
            augment.Sometimes(0.5, augment.Speed(0.03)),
            augment.Sometimes(0.5, augment.Reverberation()),
            augment.Equaliser(3.0),
            augment.Sometimes(0.4, telephone),
            augment.Sometimes(0.4, augment.BandLimit(2_500.0, 7_800.0, 0.3)),
        ]
    )
    return chain(audio, rng)


def telephone(audio: Audio, rng: np.random.Generator | None = None) -> Audio:
    """A telephone's 8 bits of mu-law at 8 kHz and back; nothing is left to chance."""
    narrow = np.clip(soxr.resample(audio, RATE, TELEPHONE_HZ), -1.0, 1.0)
    coded = np.round((np.sign(narrow) * np.log1p(MU * np.abs(narrow)) / np.log1p(MU) + 1.0) * 127.5) / 127.5 - 1.0
    restored = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(MU)) / MU
    wide = soxr.resample(restored.astype(np.float32), TELEPHONE_HZ, RATE)
    return np.asarray(np.pad(wide[: audio.size], (0, max(0, audio.size - wide.size))), np.float32)
