"""The encoder, the pooling and the heads in torch: what is trained, and the native form of the models that read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from models.encoder import BANDS, FRAME_S, HEAD, LAYERS, NATIVE, WEIGHTS, WIDTH

HEADS = 6  # of attention
POSITIONS = 1500  # hidden states (30 s): the longest clip that Whisper was trained on
BEHIND = 25  # hidden states of the silence behind a clip; they are attended to and never pooled
SMOOTH = 15  # hidden states (0.3 s) that the presence of speech is averaged over: no word is shorter
EPSILON = 1e-5


class Layer(nn.Module):
    """A transformer layer with its norms in front (as in Whisper)."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH)  # the bias of the keys is zero
        self.attended = nn.Linear(WIDTH, WIDTH)
        self.before_feed_forward = nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States [batch, frames, WIDTH]; mask [batch, 1, 1, frames], 0 where a frame is attended to, else -1e9."""
        parts = self.queries_keys_values(self.before_attention(states)).unflatten(2, (3, HEADS, WIDTH // HEADS))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        states = states + self.attended(mixed.transpose(1, 2).flatten(2))
        added: Tensor = self.narrow(functional.gelu(self.wide(self.before_feed_forward(states))))
        return states + added


class Encoder(nn.Module):
    """The first layers of Whisper's encoder, the presence of speech, and statistics over time."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.second = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(POSITIONS, WIDTH))
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.speech = nn.Linear(WIDTH, 1)  # of the last layer: log odds that a frame is speech

    @classmethod
    def load(cls, path: Path = WEIGHTS / NATIVE) -> Encoder:
        """From a file of weights, in evaluation mode; kept in 16 bits, computed in 32."""
        encoder = cls()
        encoder.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        return encoder.eval()

    def states(self, pictures: Tensor, lengths: Tensor) -> list[Tensor]:
        """The output of each layer, [batch, frames / 2, WIDTH], of pictures [batch, frames, BANDS]."""
        maps = functional.gelu(self.first(pictures.transpose(1, 2)))
        states = functional.gelu(self.second(maps)).transpose(1, 2)
        states = states + self.positions[: states.shape[1]]
        place = torch.arange(states.shape[1], device=states.device)
        mask = torch.where(place < lengths + BEHIND, 0.0, -1e9)[:, None, None, :]
        outputs = []
        for layer in self.layers:
            states = layer(states, mask)
            outputs.append(states)
        return outputs

    def forward(self, pictures: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reads a batch as ``EncoderProcessor.collate`` gives it.

        Returns:
            Statistics over speech, over all frames, [batch, FEATURES] each, and seconds of speech [batch, 1].
        """
        outputs = self.states(pictures, lengths)
        own, weights = self.presence(outputs, lengths)
        return pooled(outputs, weights), pooled(outputs, own), FRAME_S * weights.sum(dim=1, keepdim=True)

    def presence(self, outputs: list[Tensor], lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each frame is of the clip, and the probability that it is speech, [batch, frames] each."""
        own = (torch.arange(outputs[0].shape[1], device=outputs[0].device) < lengths).float()
        odds = self.speech(outputs[-1]).squeeze(2)
        return own, torch.sigmoid(_smooth(odds * own) / _smooth(own).clamp(min=1e-6)) * own


def _smooth(values: Tensor) -> Tensor:
    """Mean over ``SMOOTH`` neighbours in time of values [batch, frames]; zeros beyond the ends."""
    return functional.avg_pool1d(values[:, None], SMOOTH, stride=1, padding=SMOOTH // 2).squeeze(1)


def pooled(outputs: list[Tensor], weights: Tensor) -> Tensor:
    """Weighted mean and standard deviation over time of each layer's output, [batch, FEATURES].

    Sums and no matrix products: those alone are computed in bfloat16 where it is used, and one weight in 200 is 0.3 %
    off in it.
    """
    weights = weights[:, :, None]
    total = weights.sum(dim=1).clamp(min=EPSILON)
    statistics = []
    for states in outputs:
        mean = (states * weights).sum(dim=1) / total
        variance = ((states - mean[:, None]).square() * weights).sum(dim=1) / total
        statistics += [mean, torch.sqrt(variance + EPSILON)]
    return torch.cat(statistics, dim=1)


class LinearHead(nn.Module):
    """``features @ weight + bias``."""

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        """Takes ``weight`` [features, classes] and ``bias`` [classes]."""
        super().__init__()
        self.weight, self.bias = (nn.Parameter(arrays[name]) for name in ("weight", "bias"))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        return features @ self.weight + self.bias


class KernelHead(nn.Module):
    """``exp(-|features @ projection - support|^2) @ weight``."""

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        """Takes ``projection`` [features, axes], ``support`` [clips, axes] and ``weight`` [clips, classes]."""
        super().__init__()
        self.projection, self.support, self.weight = (
            nn.Parameter(arrays[name]) for name in ("projection", "support", "weight")
        )

    def forward(self, features: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        points = features @ self.projection
        distances = torch.cdist(points, self.support, compute_mode="donot_use_mm_for_euclid_dist")
        return torch.exp(-distances.square()) @ self.weight


class DenseHead(nn.Module):
    """Several networks of three dense layers, whose logits are averaged."""

    DEPTH = 3

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        """Takes ``weight0`` ... [networks, inputs, outputs] and ``bias0`` ... [networks, 1, outputs]."""
        super().__init__()
        self.weights = nn.ParameterList(arrays[f"weight{layer}"] for layer in range(self.DEPTH))
        self.biases = nn.ParameterList(arrays[f"bias{layer}"] for layer in range(self.DEPTH))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        return self.each(features).mean(dim=0)

    def each(self, features: Tensor) -> Tensor:
        """Logits of each network, [networks, batch, classes]."""
        states = features
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            states = states @ weight + bias
            states = functional.gelu(states) if layer + 1 < self.DEPTH else states
        return states


class Classifier(nn.Module):
    """The encoder and a head; the last column of the answer is the seconds of speech."""

    def __init__(self, encoder: Encoder, head: nn.Module, *, speech_only: bool) -> None:
        """Joins them.

        Args:
            encoder: Loaded.
            head: Gives logits [batch, classes] of features [batch, FEATURES + LEVELS].
            speech_only: Whether the statistics are those over speech, or over the whole clip.
        """
        super().__init__()
        self.encoder, self.head, self.speech_only = encoder, head, speech_only

    def forward(self, pictures: Tensor, lengths: Tensor, levels: Tensor) -> Tensor:
        """Logits and seconds of speech, [batch, classes + 1]."""
        speech, whole, seconds = self.encoder(pictures, lengths)
        features = torch.cat([speech if self.speech_only else whole, levels], dim=1)
        with torch.autocast(features.device.type, enabled=False):  # of products in bfloat16: the head needs the digits
            logits = self.head(features.float())
        return torch.cat([logits, seconds], dim=1)


def load_native(weights: Path) -> Classifier:
    """The network of a store entry or of a weights folder; the encoder's file is shared where the folder has none."""
    own = weights / NATIVE
    with np.load(weights / HEAD) as file:
        arrays = {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files if name != "speech_only"}
        speech_only = bool(file["speech_only"])
    kind = KernelHead if "support" in arrays else DenseHead if "weight0" in arrays else LinearHead
    head = kind(arrays)
    encoder = Encoder.load(own if own.exists() else WEIGHTS / NATIVE)
    return Classifier(encoder, head, speech_only=speech_only).eval()
