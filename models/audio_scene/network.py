"""The small Audio Spectrogram Transformer, its teacher, and the step to the compiled form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification, AutoModelForAudioClassification

from models import export as compiled
from models.audio_scene import SPEC, activity
from models.audio_scene.processing import PROCESSOR, AstProcessor
from models.training.embedding import Answer

WEIGHTS = Path(__file__).parent / "weights"
PATCH = 16  # mel bins and frames


def configuration() -> ASTConfig:
    """Four layers of width 128 over patches of 16 mel bins by 160 ms."""
    return ASTConfig(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=384,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.0,
        patch_size=PATCH,
        frequency_stride=PATCH,
        time_stride=PATCH,
        num_mel_bins=PROCESSOR.mel_bins,
        max_length=PROCESSOR.max_length,
        num_labels=len(SPEC.classes),
        id2label=dict(enumerate(SPEC.classes)),
        label2id={name: place for place, name in enumerate(SPEC.classes)},
        attn_implementation="eager",
    )


def create(pictures: NDArray[np.float32]) -> ASTForAudioClassification:
    """An untrained network with a head start.

    The patch embedding begins as the principal components of real patches, each scaled to unit variance, and the
    position embedding as sines and cosines: both are what a transformer learns slowly from few clips.

    Args:
        pictures: float32 [clips, frames, mel bins], normalised, to take the components from.
    """
    network = ASTForAudioClassification(configuration())
    embeddings = network.audio_spectrogram_transformer.embeddings
    with torch.no_grad():
        weight, bias = _principal_components(pictures, network.config.hidden_size)
        embeddings.patch_embeddings.projection.weight.copy_(weight)
        embeddings.patch_embeddings.projection.bias.copy_(bias)
        rows, columns = embeddings.get_shape(network.config)
        embeddings.position_embeddings[0, 2:].copy_(_positions(rows, columns, network.config.hidden_size))
        embeddings.cls_token.normal_(std=0.02)
        embeddings.distillation_token.normal_(std=0.02)
    return network


def _principal_components(pictures: NDArray[np.float32], width: int) -> tuple[Tensor, Tensor]:
    """Weight [width, 1, mel, frames] and bias [width] that turn a patch into whitened components."""
    clips, frames, bins = pictures.shape
    shape = (clips, frames // PATCH, PATCH, bins // PATCH, PATCH)
    patches = pictures[:, : shape[1] * PATCH].reshape(shape).transpose(0, 1, 3, 4, 2).reshape(-1, PATCH * PATCH)
    mean = patches.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(patches - mean, rowvar=False))
    components = vectors[:, ::-1][:, :width] / np.sqrt(values[::-1][:width] + 1e-3)
    weight = 0.3 * components.T  # small beside the residual stream's unit scale
    bias = torch.from_numpy(-(weight @ mean)).float()
    return torch.from_numpy(weight.reshape(width, 1, PATCH, PATCH).copy()).float(), bias


def _positions(rows: int, columns: int, width: int) -> Tensor:
    """Sines and cosines of row and column, each over half of the width, [rows * columns, width]."""
    rates = torch.exp(-torch.arange(width // 4) * np.log(1000.0) / (width // 4))
    row = torch.arange(rows)[:, None] * rates
    column = torch.arange(columns)[:, None] * rates
    row_part = torch.cat((row.sin(), row.cos()), 1)[:, None].expand(-1, columns, -1)
    column_part = torch.cat((column.sin(), column.cos()), 1)[None].expand(rows, -1, -1)
    return 0.1 * torch.cat((row_part, column_part), 2).reshape(rows * columns, width)


class Teacher(nn.Module):
    """A small residual convolution network: it needs fewer clips than a transformer, which then learns from it.

    Beside the class it reads off a window what a voice activity detector makes of it (``activity``).
    """

    def __init__(self, widths: tuple[int, ...] = (24, 40, 64, 96)) -> None:
        """Builds the layers.

        Args:
            widths: Channels after each reduction of both axes.
        """
        super().__init__()
        self.stem = _Block(1, widths[0], (4, 2))
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(widths)))
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * widths[-1], len(SPEC.classes))
        self.embedding = nn.Linear(2 * widths[-1], activity.WIDTH)

    def forward(self, input_values: Tensor) -> Answer:
        """Of pictures [batch, frames, mel bins]."""
        maps = self.blocks(self.stem(input_values[:, None])).mean(dim=3)
        pooled = torch.cat((maps.mean(dim=2), maps.amax(dim=2)), dim=1)
        return Answer(self.head(self.dropout(pooled)), self.embedding(pooled))


class _Block(nn.Module):
    """Shrinks both axes, then a residual convolution."""

    def __init__(self, before: int, after: int, stride: tuple[int, int] = (2, 2)) -> None:
        super().__init__()
        kernel = (2 * stride[0] - 1, 2 * stride[1] - 1)
        shrink = nn.Conv2d(before, after, kernel, stride, (stride[0] - 1, stride[1] - 1), bias=False)
        self.down = nn.Sequential(shrink, nn.BatchNorm2d(after), nn.ReLU())
        self.same = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        smaller = self.down(maps)
        return torch.relu(smaller + self.same(smaller))


class _Logits(nn.Module):
    """A transformers classifier that returns its logits alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_values: Tensor) -> Tensor:
        return cast(Tensor, self.network(input_values=input_values).logits)


def feature_extractor(processor: AstProcessor = PROCESSOR) -> ASTFeatureExtractor:
    """The published extractor with this model's numbers."""
    return ASTFeatureExtractor(
        num_mel_bins=processor.mel_bins, max_length=processor.max_length, mean=processor.mean, std=processor.std
    )


def save(network: ASTForAudioClassification, weights: Path = WEIGHTS) -> None:
    """Writes ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``."""
    weights.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(weights)
    feature_extractor().save_pretrained(weights)


def load_native(weights: Path = WEIGHTS) -> nn.Module:
    """The transformers network of a folder, in evaluation mode, called with ``input_values`` and giving logits."""
    return _Logits(load(weights)).eval()


def load(weights: Path) -> nn.Module:
    """The transformers network of a folder itself."""
    return cast(nn.Module, AutoModelForAudioClassification.from_pretrained(weights, attn_implementation="eager"))


def export(weights: Path, batches: Sequence[compiled.Arrays]) -> float:
    """Writes the compiled form beside the native one.

    Args:
        weights: Folder with the native files and the calibration.
        batches: Collated clips to check it on.

    Returns:
        The largest difference of a probability.
    """
    shapes = {"input_values": [-1, PROCESSOR.max_length, PROCESSOR.mel_bins]}
    return compiled.save_torch(load_native(weights), weights, shapes, batches)
