"""What all peers share: the bundle's own decoder and pre-processing, and the very same weights in their native form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import CORES, WORKLOADS
from engine.base import Engine
from media.audio import AudioLimits, decode
from models import registry
from models.processing import Features
from models.spec import AudioInput, ImageInput
from models.store import Entry
from models.windows import split

Answer = list[dict[str, float | str]]

# As many as the issue of small, short batches allows: larger ones of mixed lengths only pad more.
BATCH = 8
BATCH_WAIT_S = 0.005  # of a server that waits for company


def read(model: str, file: bytes) -> list[NDArray[Any]]:
    """Decodes a file to what the model takes: a recording's windows, or the aligned face of a picture.

    Args:
        model: Of the registry.
        file: The upload.
    """
    kind = registry.specs()[model].input
    if isinstance(kind, AudioInput):
        decoded = decode(file, limits=AudioLimits(), target_rate=kind.sample_rate)
        return split(decoded.samples, round(kind.window_s * kind.sample_rate))
    from media.faces import crop_face, largest_face
    from media.image import decode_image

    assert isinstance(kind, ImageInput)
    picture = decode_image(file, max_pixels=50_000_000)
    return [crop_face(picture, largest_face(picture), kind.size)]


class Model:
    """The model of the workload that the environment names, in this process.

    Uses all cores that the process may use: a peer runs nothing beside it.
    """

    def __init__(self) -> None:
        workload = WORKLOADS[os.environ["BENCH_WORKLOAD"]]
        self.name = workload.model
        self.spec = registry.specs()[self.name]
        self.entry = Entry.read(self.name, workload.weights)
        self.processor = registry.processor(self.name)
        self.engine = self._open()

    def _open(self) -> Engine:
        threads = CORES
        if os.environ.get("BENCH_ENGINE") == "compiled":
            from engine.compiled import CompiledEngine

            agrees = self.entry.bf16_agrees
            return CompiledEngine(self.entry.compiled, threads=threads, bf16_agrees=agrees)
        from engine.native import NativeEngine

        return NativeEngine(self.spec, self.entry, threads=threads)

    def prepare(self, file: bytes) -> list[Features]:
        """Decodes and pre-processes one upload."""
        return [self.processor.prepare(item).features for item in read(self.name, file)]

    def answer(self, uploads: Sequence[list[Features]]) -> list[Answer]:
        """Answers for a batch of prepared uploads, padded to the longest of all."""
        flat = [features for upload in uploads for features in upload]
        rows = self.entry.calibration.probabilities(self.engine.infer(self.processor.collate(flat)))
        ends = np.cumsum([len(upload) for upload in uploads])
        parts = np.split(rows, ends[:-1])
        return [self._labelled(part.mean(axis=0)) for part in parts]

    def _labelled(self, probabilities: NDArray[np.float32]) -> Answer:
        pairs = zip(self.spec.classes, probabilities.tolist(), strict=True)
        return [{"label": name, "score": score} for name, score in sorted(pairs, key=lambda pair: -pair[1])]


def folder() -> Path:
    """The weights of the workload that the environment names."""
    return WORKLOADS[os.environ["BENCH_WORKLOAD"]].weights


def key() -> str:
    """The form field of the upload."""
    return "image" if os.environ["BENCH_WORKLOAD"] == "faces" else "audio"
