"""Training behind a filter bank that stays as it is: its output is computed once, for several copies of each clip.

That saves two thirds of the time of a training step. ``Rest`` stands in for transformers' feature encoder meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm
from transformers import Wav2Vec2ForSequenceClassification

from models.processing import Processor
from models.training.augment import Audio, Transform
from models.training.datasets import draw
from models.training.loop import Batch
from models.wav2vec2.filterbank import CEILING, FIXED, SAMPLE_RATE
from models.wav2vec2.lesson import Lesson

STEP = CEILING / 255  # frames are kept in 8 bits, 0 to CEILING

Frames = NDArray[np.uint8]


class Rest(nn.Module):
    """The feature encoder without its first layers; takes their output in place of audio."""

    def __init__(self, layers: nn.ModuleList) -> None:
        """Takes over the remaining layers."""
        super().__init__()
        self.conv_layers = layers

    def forward(self, input_values: Tensor) -> Tensor:
        """Float32 [batch, channels, frames] to the same, fewer frames."""
        for layer in self.conv_layers:
            input_values = layer(input_values)
        return input_values


def split(model: Wav2Vec2ForSequenceClassification) -> nn.Sequential:
    """Takes the filter bank out of a model, which from then on takes frames and a mask of frames.

    Returns:
        The filter bank: float32 [batch, 1, samples] to [batch, channels, frames].
    """
    layers = model.wav2vec2.feature_extractor.conv_layers
    model.wav2vec2.feature_extractor = Rest(layers[FIXED:])
    for name in ("conv_kernel", "conv_stride"):  # transformers counts the frames that a mask leaves with these
        setattr(model.config, name, list(getattr(model.config, name))[FIXED:])
    return nn.Sequential(*layers[:FIXED])


def join(
    bank: nn.Sequential, part: Wav2Vec2ForSequenceClassification, whole: Wav2Vec2ForSequenceClassification
) -> None:
    """Writes a filter bank and the weights of a model without one into a whole model of the same configuration."""
    prefix = "wav2vec2.feature_extractor.conv_layers."
    state = {f"{prefix}{name}": value for name, value in bank.state_dict().items()}
    for name, value in part.state_dict().items():
        if name.startswith(prefix):
            place, rest = name.removeprefix(prefix).split(".", 1)
            name = f"{prefix}{int(place) + FIXED}.{rest}"
        state[name] = value
    whole.load_state_dict(state)


def compute(
    bank: nn.Sequential,
    processor: Processor,
    variants: Sequence[Sequence[Audio]],
    augment: Transform,
    copies: int,
    seed: int,
    listen: Callable[[Sequence[Audio]], None] = lambda _: None,
) -> list[list[Frames]]:
    """Frames of augmented copies of each clip.

    Args:
        bank: The filter bank.
        processor: The model's own.
        variants: Of each clip, the forms to choose from.
        augment: Applied to each copy.
        copies: Of each clip.
        seed: Of the choice and the augmentation.
        listen: Called with the copies of each clip.

    Returns:
        For each clip its copies, uint8 [channels, frames] in units of ``STEP``.
    """
    rng = np.random.default_rng((seed, 2))

    def of_clip(forms: Sequence[Audio]) -> list[Frames]:
        clips = [augment(_pick(forms, rng), rng) for _ in range(copies)]
        listen(clips)
        return [_frames(bank, processor, clip) for clip in clips]

    return [of_clip(forms) for forms in tqdm(variants, desc="filter bank", unit="clip")]


@torch.inference_mode()
def _frames(bank: nn.Sequential, processor: Processor, audio: Audio) -> Frames:
    values = bank(torch.from_numpy(processor.prepare(audio).features)[None, None])[0]
    return np.asarray((values / STEP).round().to(torch.uint8).numpy(), np.uint8)


def _pick(forms: Sequence[Audio], rng: np.random.Generator) -> Audio:
    return forms[int(rng.integers(len(forms)))]


@dataclass(frozen=True, slots=True)
class FrameBatches:
    """The batches of an epoch: copies drawn by weight, and cut.

    Attributes:
        copies: Of each clip, as ``compute`` makes them, the same number of each.
        lesson: Targets of each copy, and what a teacher makes of it.
        weights: Chance of each clip, float64 [clips], summing to 1.
        size: Clips in a batch.
        steps: Batches in an epoch.
        seconds: Shortest and longest piece; one length is drawn for each batch, shorter clips stay whole.
        hop: Samples from one frame to the next.
        seed: The same seed and epoch give the same batches.
        device: Where they go.
    """

    copies: Sequence[Sequence[Frames]]
    lesson: Lesson
    weights: NDArray[np.float64]
    size: int
    steps: int
    seconds: tuple[float, float]
    hop: int
    seed: int = 0
    device: torch.device | None = None

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """All batches of one epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        for places in draw(self.weights, self.size * self.steps, rng).reshape(self.steps, self.size):
            length = int(rng.uniform(*self.seconds) * SAMPLE_RATE / self.hop)
            chosen, pieces = zip(*(self._piece(int(place), length, rng) for place in places), strict=True)
            drawn = Batch(self._collate(pieces), self._part(self.lesson.targets, places, chosen))
            if self.lesson.embeddings is not None:
                drawn = replace(drawn, embeddings=self._part(self.lesson.embeddings, places, chosen))
            yield drawn

    def _part(self, whole: NDArray[np.float32], places: NDArray[np.int64], chosen: Sequence[int]) -> Tensor:
        return torch.from_numpy(whole[places, chosen]).to(self.device)

    def _piece(self, place: int, length: int, rng: np.random.Generator) -> tuple[int, Frames]:
        copies = self.copies[place]
        chosen = int(rng.integers(len(copies)))
        start = int(rng.integers(max(1, copies[chosen].shape[1] - length + 1)))
        return chosen, copies[chosen][:, start : start + length]

    def _collate(self, pieces: Sequence[Frames]) -> dict[str, Tensor]:
        width = max(piece.shape[1] for piece in pieces)
        values = np.zeros((len(pieces), pieces[0].shape[0], width), np.uint8)
        mask = np.zeros((len(pieces), width), np.int64)
        for row, piece in enumerate(pieces):
            values[row, :, : piece.shape[1]] = piece
            mask[row, : piece.shape[1]] = 1
        frames = torch.from_numpy(values).to(self.device).float() * STEP
        return {"input_values": frames, "attention_mask": torch.from_numpy(mask).to(self.device)}
