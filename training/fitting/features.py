"""What the encoder makes of the forms of clips, computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.encoder import FEATURES, NATIVE, WEIGHTS
from models.encoder.network import Encoder
from models.encoder.processing import PROCESSOR
from training.data.datasets import Clip
from training.fitting import sound
from training.fitting.augment import Audio

KEPT = Path("build/features")
WORKERS = 2
SPEECH, WHOLE = 0, 1  # which statistics


@dataclass(frozen=True, slots=True)
class Bank:
    """The features of clips.

    Attributes:
        statistics: float32 [clips, forms, 2, FEATURES], over speech and over the whole clip.
        levels: float32 [clips, forms, LEVELS], dBFS.
    """

    statistics: NDArray[np.float32]
    levels: NDArray[np.float32]

    @classmethod
    def of(cls, table: NDArray[np.float32]) -> Bank:
        """Takes apart what ``features`` gives, float32 [clips, forms, 2 * FEATURES + LEVELS + 1]."""
        statistics = table[..., : 2 * FEATURES].reshape(*table.shape[:2], 2, FEATURES)
        return cls(statistics, table[..., 2 * FEATURES : -1])

    def rows(self, pooling: int, form: int) -> NDArray[np.float32]:
        """What a head reads, float32 [clips, FEATURES + LEVELS]."""
        return np.concatenate([self.statistics[:, form, pooling], self.levels[:, form]], axis=1)


def bank(clips: Sequence[Clip], data: Path, forms: Sequence[str]) -> Bank:
    """The features of clips, from ``KEPT`` where they are there: a file for each data set, form and encoder.

    Args:
        clips: Of any data sets.
        data: Folder of all data sets.
        forms: Of ``sound.FORMS``.
    """
    rows: dict[tuple[str, str], NDArray[np.float32]] = {}
    for folder in sorted({_set_of(clip, data) for clip in clips}):
        own = [clip for clip in clips if _set_of(clip, data) == folder]
        for name in forms:
            made = _kept(own, folder, name, data)
            rows |= {(str(clip.path), name): row for clip, row in zip(own, made, strict=True)}
    return Bank.of(np.stack([[rows[str(clip.path), name] for name in forms] for clip in clips]))


def features(encoder: Encoder, audio: Audio) -> NDArray[np.float32]:
    """Both statistics, levels and seconds of speech of a recording, float32 [2 * FEATURES + LEVELS + 1]."""
    batch = PROCESSOR.collate([PROCESSOR.prepare(audio).features])
    with torch.inference_mode():
        speech, whole, seconds = encoder(torch.from_numpy(batch["pictures"]), torch.from_numpy(batch["lengths"]))
    return np.concatenate([speech[0].numpy(), whole[0].numpy(), batch["levels"][0], seconds[0].numpy()])


def _set_of(clip: Clip, data: Path) -> str:
    return clip.path.relative_to(data).parts[0]


def _kept(clips: Sequence[Clip], folder: str, name: str, data: Path) -> NDArray[np.float32]:
    """Features of one form of the clips of a set, float32 [clips, 2 * FEATURES + LEVELS + 1], kept in 16 bits."""
    content = hashlib.sha256((WEIGHTS / NATIVE).read_bytes())
    content.update("\n".join(str(clip.path.relative_to(data)) for clip in clips).encode())
    path = KEPT / f"{folder}-{name}-{content.hexdigest()[:16]}.npy"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(WORKERS) as pool:
            made = pool.map(partial(_one, name=name, data=data), clips, chunksize=16)
            rows = list(tqdm(made, desc=f"{folder} {name}", total=len(clips), unit="clip", mininterval=10))
        np.save(path, np.stack(rows).astype(np.float16))
    return np.asarray(np.load(path), np.float32)


def _one(clip: Clip, name: str, data: Path) -> NDArray[np.float32]:
    return features(_encoder(), sound.form(clip, name, data))


@lru_cache(maxsize=1)
def _encoder() -> Encoder:
    torch.set_num_threads(1)
    return Encoder.load()
