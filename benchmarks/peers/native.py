"""What all peers share: the bundle's own decoder and pre-processing, and the very same weights in their native form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import CORES, WORKLOADS, Workload
from engine.select import Engine
from media.audio import AudioLimits, decode
from models import registry
from models.processing import Features, Processor
from models.published.checkpoint import Checkpoint
from models.spec import AudioInput, ImageInput, ModelSpec, split
from models.store import Entry

Prediction = list[dict[str, float | str]]

# As many as the issue of small, short batches allows: larger ones of mixed lengths only pad more.
BATCH = 8
BATCH_WAIT_S = 0.005  # of a server that waits for batch-mates


def opened(workload: Workload) -> tuple[ModelSpec, Entry, Processor]:
    """What a workload is answered with: the bundled model, or the checkpoint that stands in its place."""
    spec, entry = registry.specs()[workload.model], Entry.read(workload.model, workload.folder())
    if checkpoint := Checkpoint.load(entry.path):
        return checkpoint.describe(spec), entry, checkpoint.processor()
    return spec, entry, registry.processor(workload.model)


def read(kind: AudioInput | ImageInput, file: bytes) -> list[NDArray[Any]]:
    """Decodes a file to what the model takes: a recording's windows, or the aligned face of a picture.

    Args:
        kind: What the model takes.
        file: The upload.
    """
    if isinstance(kind, AudioInput):
        decoded = decode(file, limits=AudioLimits(), target_rate=kind.sample_rate)
        return split(decoded.samples, round(kind.window_s * kind.sample_rate))
    from media.faces import cut_out_face
    from media.image import decode_image

    picture = decode_image(file)
    return [cut_out_face(picture, kind.size)]


class Model:
    """The model of the workload that the environment names, in this process.

    Uses all cores that the process may use: a peer runs nothing beside it.
    """

    def __init__(self) -> None:
        self.name = workload().model
        self.spec, self.entry, self.processor = opened(workload())
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
        return [self.processor.prepare(item).features for item in read(self.spec.input, file)]

    def answer(self, uploads: Sequence[list[Features]]) -> list[Prediction]:
        """Answers for a batch of prepared uploads, padded to the longest of all."""
        flat = [features for upload in uploads for features in upload]
        logits = self.engine.infer(self.processor.collate(flat))
        rows = self.entry.calibration.probabilities(logits[:, : len(self.spec.classes)])
        ends = np.cumsum([len(upload) for upload in uploads])
        parts = np.split(rows, ends[:-1])
        return [self._labelled(part.mean(axis=0)) for part in parts]

    def _labelled(self, probabilities: NDArray[np.float32]) -> Prediction:
        pairs = zip(self.spec.classes, probabilities.tolist(), strict=True)
        return [{"label": name, "score": score} for name, score in sorted(pairs, key=lambda pair: -pair[1])]


def workload() -> Workload:
    """The workload that the environment names."""
    return WORKLOADS[os.environ["BENCH_WORKLOAD"]]


def folder() -> Path:
    """Its weights."""
    return workload().folder()


def bundled() -> bool:
    """Whether it is answered with a bundled model."""
    return workload().weights is None


def key() -> str:
    """The form field of the upload."""
    return "image" if os.environ["BENCH_WORKLOAD"] == "faces" else "audio"
