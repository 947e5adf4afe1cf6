"""The augmented copies of all clips and a teacher's embeddings of them, kept in a file: they take most of the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.wav2vec2.frames import Frames


@dataclass(frozen=True, slots=True)
class EmbeddedCopies:
    """Copies as a student sees them, and as its teacher does.

    Attributes:
        copies: Of each clip, as ``frames.compute`` makes them, the same number of each.
        embeddings: float32 [clips, copies, dimensions].
    """

    copies: Sequence[Sequence[Frames]]
    embeddings: NDArray[np.float32]

    @classmethod
    def cached(cls, path: Path, make: Callable[[], Self]) -> Self:
        """From a file, or made and written to it."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = make()
            made._save(path)
            return made
        with np.load(path) as file:
            widths, embeddings = file["widths"], file["embeddings"]
            every = np.split(file["frames"], np.cumsum(widths)[:-1], axis=1)
        size = embeddings.shape[1]
        return cls([every[start : start + size] for start in range(0, len(every), size)], embeddings)

    def _save(self, path: Path) -> None:
        every = [copy for of_clip in self.copies for copy in of_clip]
        partial = path.with_suffix(".partial.npz")
        widths = [copy.shape[1] for copy in every]
        np.savez(partial, frames=np.concatenate(every, axis=1), widths=widths, embeddings=self.embeddings)
        partial.replace(path)
