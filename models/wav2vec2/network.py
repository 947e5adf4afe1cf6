"""The small wav2vec2 classifiers: building, loading, compiling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification
from transformers import logging as transformers_logging

from models import export as compiling
from models.spec import ModelSpec
from models.wav2vec2.details import Details
from models.wav2vec2.filterbank import Band, conv_dims

transformers_logging.set_verbosity_error()

SHAPES = {"input_values": [-1, -1], "attention_mask": [-1, -1]}
HOP = 160  # samples (10 ms) between frames of the first layer; the second and last halve their number
FRAME = 2 * HOP  # between frames of the filter bank's output


def configuration(
    spec: ModelSpec, bands: Sequence[Band], kernel: int, details: Details, **changes: Any
) -> Wav2Vec2Config:
    """A small configuration around a filter bank.

    Args:
        spec: Gives the class names.
        bands: The filters of the first layer.
        kernel: Samples of the first layer's kernels.
        details: What the third layer reads off the bands.
        changes: Fields of ``Wav2Vec2Config`` that differ from the ones here.
    """
    width = 128
    fields: dict[str, Any] = {
        "hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 2 * width,
        "conv_dim": (*conv_dims(len(bands), details), width), "conv_kernel": (kernel, 3, details.kernel, 3),
        "conv_stride": (HOP, 2, 1, 2), "num_feat_extract_layers": 4, "conv_bias": True,
        "feat_extract_norm": "layer", "feat_extract_activation": "relu6",
        "do_stable_layer_norm": True, "num_conv_pos_embeddings": 15, "num_conv_pos_embedding_groups": 8,
        "classifier_proj_size": width, "vocab_size": 3, "hidden_dropout": 0.1, "attention_dropout": 0.0,
        "activation_dropout": 0.0, "feat_proj_dropout": 0.1, "final_dropout": 0.1, "layerdrop": 0.0,
        "apply_spec_augment": True, "mask_time_prob": 0.08, "mask_time_length": 4, "mask_feature_prob": 0.0,
        "mask_feature_length": 8,
    }  # fmt: skip
    names = dict(enumerate(spec.classes))
    config = Wav2Vec2Config(**(fields | changes), id2label=names, label2id={name: i for i, name in names.items()})
    config._attn_implementation = "eager"
    return config


def save_native(model: Wav2Vec2ForSequenceClassification, spec: ModelSpec, weights: Path) -> None:
    """Writes ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``."""
    model.save_pretrained(weights)
    rate = spec.input.sample_rate  # type: ignore[union-attr]
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=rate, do_normalize=True, return_attention_mask=True)
    extractor.save_pretrained(weights)


def load_native(weights: Path) -> Wav2Vec2ForSequenceClassification:
    """The network from transformers' own files, in evaluation mode, with plain attention that can be traced."""
    model = Wav2Vec2ForSequenceClassification.from_pretrained(weights, attn_implementation="eager")
    return model.eval()


class Classifier(nn.Module):
    """The network as it is compiled: named inputs in a fixed order, logits out.

    The weight norm of the positional convolution is folded into plain weights.
    """

    def __init__(self, model: Wav2Vec2ForSequenceClassification) -> None:
        """Takes over a network in evaluation mode."""
        super().__init__()
        self.model = model
        positional = model.wav2vec2.encoder.pos_conv_embed.conv
        if parametrize.is_parametrized(positional):
            parametrize.remove_parametrizations(positional, "weight")

    def forward(self, input_values: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits float32 [batch, classes] of float32 and int64 [batch, samples]."""
        logits: Tensor = self.model(input_values=input_values, attention_mask=attention_mask).logits
        return logits


def export(weights: Path, batches: Sequence[compiling.Arrays]) -> float:
    """Compiles the native files of a weights folder.

    Args:
        weights: Holds the native files and ``calibration.json``.
        batches: Real clips, collated, that the two forms are compared on.

    Returns:
        The largest difference of a probability.

    Raises:
        ValueError: The forms disagree.
    """
    # In 16 bits the filters leak: faint bands hear loud ones, and probabilities move by up to 0.02.
    return compiling.save_torch(Classifier(load_native(weights)).eval(), weights, SHAPES, batches, half=False)
