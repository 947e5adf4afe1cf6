"""Full-size weights: wav2vec2-large as published, with random numbers in it, imported as a published checkpoint is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks.workloads import FULL, STORE
from models import registry, store
from training.published import layout
from training.published.compiling import save_compiled
from training.published.importing import Source, describe_checkpoint

MODEL = "voice_gender"


def build(folder: Path = FULL) -> None:
    """Writes the native and the compiled form, unless they are there."""
    if (folder / store.RECORD).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    written = layout.write(MODEL, folder)
    spec = registry.specs()[MODEL]
    _, checkpoint = describe_checkpoint(spec, Source(written, "random weights"))
    save_compiled(spec, folder, checkpoint)


def save() -> None:
    """Puts the full-size weights and all compact models into the benchmark's model store."""
    STORE.mkdir(parents=True, exist_ok=True)
    os.environ["BENTOML_HOME"] = str(STORE)
    for name, spec in registry.specs().items():
        store.save(spec, registry.weights(name))
    if FULL.exists():
        store.save(registry.specs()[MODEL], FULL, "published", origin="random numbers")


if __name__ == "__main__":
    build()
    save()
