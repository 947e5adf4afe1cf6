"""Random weights in the layout of the published checkpoints, for tests and benchmarks that must do without a hub.

Names of files, fields and labels are those of the publishers; ``small`` shrinks the network and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    ASTConfig,
    ASTForAudioClassification,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2ForSequenceClassification,
)

from training.published import audioset

LABELS = {
    "voice_gender": ("female", "male"),
    "deepfake_encoder": ("real", "fake"),
    "audio_scene": tuple(name for name, _ in audioset.TABLE),
}
LICENCES = {"voice_gender": "apache-2.0", "deepfake_encoder": "apache-2.0", "audio_scene": "bsd-3-clause"}
_EXTRACTOR = {
    "do_normalize": True, "feature_size": 1, "padding_side": "right", "padding_value": 0.0, "sampling_rate": 16_000,
}  # fmt: skip
EXTRACTORS: dict[str, dict[str, Any]] = {  # by model type
    "wav2vec2": _EXTRACTOR | {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "return_attention_mask": True},
    "audio-spectrogram-transformer": _EXTRACTOR | {
        "feature_extractor_type": "ASTFeatureExtractor", "return_attention_mask": False,
        "num_mel_bins": 128, "max_length": 1024, "mean": -4.2677393, "std": 4.5689974,
    },
}  # fmt: skip
SMALL_WAV2VEC2 = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 16,
}  # fmt: skip
SMALL_AST = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
FACE_FILE = "vgg16.keras"
FACE_SIZE = 224  # pixels


def write(name: str, folder: Path, *, small: bool = False, seed: int = 0, **changes: Any) -> Path:
    """Writes the checkpoint that takes the place of one model.

    Args:
        name: ``voice_gender``, ``deepfake_encoder``, ``audio_scene`` or ``face_gender``.
        folder: For its files.
        small: A network of a few thousand weights instead of the full size.
        seed: Of the random weights.
        changes: Fields of the configuration that differ from the published one.

    Returns:
        What ``training.fetch`` takes: the folder, or the file for a Keras network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    if name == "face_gender":
        return _vgg16(folder / FACE_FILE, small)
    labels = dict(enumerate(LABELS[name]))
    names = {"id2label": labels, "label2id": {label: place for place, label in labels.items()}}
    if name == "audio_scene":
        fields = {"num_mel_bins": 128, "max_length": 1024} | (SMALL_AST if small else {}) | names | changes
        network: PreTrainedModel = ASTForAudioClassification(ASTConfig(**fields))
    else:
        fields = _xlsr() | (SMALL_WAV2VEC2 if small else {}) | names | changes
        network = Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**fields))
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(EXTRACTORS[network.config.model_type], indent=1))
    _as_published(folder / "model.safetensors")
    (folder / "README.md").write_text(f"---\nlicense: {LICENCES[name]}\n---\nRandom weights.\n")
    return folder


def _xlsr() -> dict[str, Any]:
    """Fields of facebook/wav2vec2-xls-r-300m, which the published voice models were fine-tuned from."""
    return {
        "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
        "conv_bias": True, "do_stable_layer_norm": True, "feat_extract_norm": "layer", "classifier_proj_size": 256,
        "hidden_dropout": 0.1, "attention_dropout": 0.1, "layerdrop": 0.0, "final_dropout": 0.0,
    }  # fmt: skip


def _as_published(path: Path) -> None:
    """Renames the weights of the positional convolution to what they were called when the checkpoints were made."""
    weights = load_file(path)
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in weights.items()
    }
    save_file(old, path, metadata={"format": "pt"})


def _vgg16(path: Path, small: bool) -> Path:
    """VGG16 with its top for two classes, as ``keras.applications`` builds it: reads blue, green, red."""
    from models.face_gender.backend import keras, layers
    from models.face_gender.network import CONVOLUTIONS, FULL_WIDTHS

    keras.utils.set_random_seed(0)
    widths, hidden, size = ((4,) * 5, 8, 32) if small else (FULL_WIDTHS, 4096, FACE_SIZE)
    inputs = values = keras.Input((size, size, 3))
    for count, width in zip(CONVOLUTIONS, widths, strict=True):
        for _ in range(count):
            values = layers.Conv2D(width, 3, padding="same", activation="relu")(values)
        values = layers.MaxPooling2D(2)(values)
    values = layers.Flatten()(values)
    for _ in range(2):
        values = layers.Dense(hidden, activation="relu")(values)
    keras.Model(inputs, layers.Dense(2, activation="softmax")(values), name="vgg16").save(path)
    return path
