"""Full-size weights: wav2vec2-large as published, with random numbers in it, through the bundle's own way of saving."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

from benchmarks import clips
from benchmarks.workloads import FULL, STORE
from models import export, registry, store
from models.calibration import Calibration
from models.wav2vec2 import network
from models.wav2vec2.processing import Wav2Vec2Processor


def large() -> Wav2Vec2Config:
    """The architecture of facebook/wav2vec2-large-xlsr-53, which the published checkpoint of C1 is fine-tuned from."""
    return Wav2Vec2Config(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
        feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True, num_labels=2,
        attn_implementation="eager",
    )  # fmt: skip


def build(folder: Path = FULL) -> None:
    """Writes the native and the compiled form, unless they are there."""
    if (folder / store.RECORD).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec = registry.specs()["voice_gender"]
    torch.manual_seed(0)
    network.save_native(Wav2Vec2ForSequenceClassification(large()).eval(), spec, folder)
    Calibration.identity(len(spec.classes)).save(folder)
    processor = Wav2Vec2Processor()
    speech = clips.speech()
    batch = processor.collate([processor.prepare(speech[: round(s * clips.RATE)]).features for s in (1.5, 2.0)])
    module = network.Classifier(network.load_native(folder)).eval()
    export.save_torch(module, folder, network.SHAPES, [batch])


def save() -> None:
    """Puts the full-size weights and all compact models into the benchmark's model store."""
    STORE.mkdir(parents=True, exist_ok=True)
    os.environ["BENTOML_HOME"] = str(STORE)
    for name, spec in registry.specs().items():
        store.save(spec, registry.weights(name))
    if FULL.exists():
        store.save(registry.specs()["voice_gender"], FULL, "published", origin="random numbers")


if __name__ == "__main__":
    build()
    save()
