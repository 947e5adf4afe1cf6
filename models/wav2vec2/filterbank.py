"""A start for the first three convolutions of a wav2vec2 network: filter bank, compression, local detail.

A network that sees a few hundred clips cannot find a spectrum by itself. So the first convolution starts as windowed
cosines and sines (Gabor filters) in four phases, whose halves the activation (ReLU6) rectifies; the second adds the
phases up, averages over time, and reads each band's level by three ramps, each rising from 0 to 6 between two
quantiles of what that band does in the training clips. Together the ramps are a piecewise linear, evenly used scale of
level: they do what a logarithm does for a mel spectrogram. The third compares neighbours in frequency and time, which
is where harmonics, onsets and the traces of vocoders show; rectified halves again.

The layer norms that wav2vec2 puts between are used, not fought: the first one is an automatic gain control (it divides
by the frame's level; its epsilon sets where that begins), the second and third are kept in the range of their epsilon,
where they only scale: how much detail there is must not be divided away. Nor is there anything to subtract, since the
channels of each layer add up to zero. The three layers stay as they are while the rest is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Wav2Vec2ForSequenceClassification

from models.wav2vec2.details import Details, write

SAMPLE_RATE = 16_000  # Hz
PHASES = 4  # cosine, sine and their negatives: their mean is zero, so the layer norm subtracts nothing
SMOOTH = (0.25, 0.5, 0.25)  # average over three frames
QUANTILES = (0.05, 0.4, 0.75, 0.98)  # of a band's level, where its ramps begin and end
RAMPS = len(QUANTILES) - 1
CEILING = 6.0  # of ReLU6
EPSILON = 1e-5  # of the layer norms (PyTorch's default, which transformers keeps)
KNEE = 0.5  # frame power, relative to the mean over the training clips, above which level is held
FAINTEST = 1e-4  # band power, relative to the mean, that is still raised to it: filters leak more than that in 16 bits
SMALL = 0.02  # variance at the second and third layer norm, relative to their epsilon
FIXED = 3  # convolutions that are set here


@dataclass(frozen=True, slots=True)
class Band:
    """One filter.

    Attributes:
        centre: Hz.
        window: Length of its Hann window (seconds).
    """

    centre: float
    window: float


def linear_bands(low: float, high: float, count: int, window: float) -> list[Band]:
    """Filters at equal distances from ``low`` to ``high`` Hz, all with one window (seconds)."""
    return [Band(float(centre), window) for centre in np.linspace(low, high, count)]


def mel_bands(low: float, high: float, count: int, window: float) -> list[Band]:
    """Filters at equal distances in mel (O'Shaughnessy's formula) from ``low`` to ``high`` Hz.

    The window is ``window`` seconds, and shorter where neighbours are further apart than it can resolve.
    """
    mel = np.linspace(2595.0 * np.log10(1.0 + low / 700.0), 2595.0 * np.log10(1.0 + high / 700.0), count)
    centres = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    spacing = np.gradient(centres)
    return [Band(float(c), min(window, 2.0 / float(s))) for c, s in zip(centres, spacing, strict=True)]


def kernels(bands: Sequence[Band], size: int) -> NDArray[np.float64]:
    """The filters' impulse responses, each with unit energy.

    Args:
        bands: The filters.
        size: Samples; no window may be longer.

    Returns:
        float64 [PHASES * bands, size]: all cosines, all sines, all negative cosines, all negative sines.
    """
    time = (np.arange(size) - (size - 1) / 2) / SAMPLE_RATE
    rows = [np.where(np.abs(time) < b.window / 2, np.cos(np.pi * time / b.window) ** 2, 0.0) for b in bands]
    window = np.stack(rows)
    turn = 2.0 * np.pi * np.array([b.centre for b in bands])[:, None] * time
    waves = np.concatenate([window * np.cos(turn), window * np.sin(turn)])
    waves /= np.sqrt(np.sum(waves**2, axis=1, keepdims=True))
    return np.concatenate([waves, -waves])


def conv_dims(bands: int, details: Details) -> tuple[int, int, int]:
    """Channels of the three layers: filters; ramps, and one that keeps the mean at zero; details of both signs."""
    return PHASES * bands, RAMPS * bands + 1, 2 * len(details.rows(bands))


@torch.no_grad()
def initialise(
    model: Wav2Vec2ForSequenceClassification, bands: Sequence[Band], clips: Sequence[Tensor], details: Details
) -> None:
    """Sets and freezes the first three layers, and centres the ones behind them.

    Args:
        model: Its configuration has ``conv_dims(len(bands), details)`` and ReLU6.
        bands: The filters.
        clips: Normalised training clips, float32 [samples], that levels are measured on.
        details: What the third layer reads off the bands.
    """
    encoder = model.wav2vec2.feature_extractor
    layers = list(encoder.conv_layers)
    _set_filters(layers[0], kernels(bands, layers[0].conv.kernel_size[0]), clips)
    _set_ramps(layers[0], layers[1], len(bands), clips)
    write(details, layers[2].conv, len(bands), RAMPS)
    inputs = [layers[1](layers[0](clip[None, None])) for clip in clips]
    inputs = settle(layers[2], inputs, SMALL * EPSILON)
    for layer in layers[FIXED:]:
        inputs = settle(layer, inputs)
    for layer in layers[:FIXED]:
        layer.requires_grad_(False)
    encoder._requires_grad = False  # else transformers asks for the gradient of the audio itself


def _set_filters(layer: nn.Module, waves: NDArray[np.float64], clips: Sequence[Tensor]) -> None:
    """Filters scaled so that every band has the same mean power, which lies 1 / KNEE above the norm's epsilon."""
    conv, norm = cast(nn.Conv1d, layer.conv), cast(nn.LayerNorm, layer.layer_norm)
    conv.weight.copy_(torch.from_numpy(waves[:, None]))
    nn.init.zeros_(cast(Tensor, conv.bias))
    power = torch.cat([conv(clip[None]) for clip in clips], 1).square().mean(1).reshape(PHASES, -1).mean(0)
    gain = (EPSILON / KNEE / power.clamp(min=float(power.mean()) * FAINTEST)).sqrt().repeat(PHASES)
    conv.weight.mul_(gain[:, None, None])
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)


def _set_ramps(first: nn.Module, second: nn.Module, bands: int, clips: Sequence[Tensor]) -> None:
    """Phases added up and smoothed, once for each ramp; the norm's scale and bias make the ramps."""
    conv, norm = cast(nn.Conv1d, second.conv), cast(nn.LayerNorm, second.layer_norm)
    channels = torch.arange(RAMPS * bands)
    pooling = torch.zeros_like(conv.weight)
    for phase in range(PHASES):
        pooling[channels, phase * bands + channels % bands] = torch.tensor(SMOOTH)
    pooling[-1] = -pooling[:-1].sum(0)
    nn.init.zeros_(cast(Tensor, conv.bias))
    conv.weight.copy_(pooling)
    variance = torch.cat([conv(first(clip[None, None])[0]) for clip in clips], 1).var(0).mean()
    conv.weight.mul_((SMALL * EPSILON / variance).sqrt())
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)
    levels = torch.cat([norm(conv(first(clip[None, None])[0]).T) for clip in clips])[:, :bands]
    knots = torch.from_numpy(np.quantile(levels.numpy(), QUANTILES, axis=0)).float()
    slopes = CEILING / (knots[1:] - knots[:-1])
    norm.weight[:-1], norm.bias[:-1] = slopes.flatten(), -(slopes * knots[:-1]).flatten()
    norm.weight[-1] = 0.0


def settle(layer: nn.Module, inputs: Sequence[Tensor], variance: float = 1.0) -> list[Tensor]:
    """Scales a convolution such that each channel has mean zero and a given variance, and gives the layer's output.

    What it reads is never negative: without this, the norm would see little but its mean. The norm's own scale brings
    small variances back to one.
    """
    conv, norm = cast(nn.Conv1d, layer.conv), cast(nn.LayerNorm, layer.layer_norm)
    nn.init.zeros_(cast(Tensor, conv.bias))
    answers = torch.cat([conv(one)[0] for one in inputs], 1)
    scale = variance**0.5 / (answers.std(1) + 1e-3)
    conv.weight.mul_(scale[:, None, None])
    cast(Tensor, conv.bias).copy_(-scale * answers.mean(1))
    nn.init.constant_(norm.weight, ((variance + EPSILON) / variance) ** 0.5)
    return [layer(one) for one in inputs]
