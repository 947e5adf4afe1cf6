"""A start for networks that judge a clip by averages over it and not frame by frame (``details.Textures``).

Pooling stands at the very end of transformers' classifier, where only a linear layer follows; what tells the classes
apart in averages is not linear. So the first attention starts out even over all frames and hands every frame the clip's
averages in standard deviations; the layers behind it are then a perceptron on them. The layer norms on the way would
divide a frame's amount of movement away: channels that are constant and large keep their divisor nearly constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Wav2Vec2ForSequenceClassification

from models.wav2vec2.filterbank import CEILING, EPSILON, SMALL, settle
from models.wav2vec2.frames import STEP, Frames
from models.wav2vec2.headstart import fit, quieten

SAMPLE = 200  # clips that scales are measured on
FRAME_SCALE = 0.05  # standard deviation of a movement behind the last convolution: small beside CEILING
KEPT = 0.3  # of the frames' own movements, beside the clip's averages
ANCHOR = 12.0  # of the constant channels behind the projection, half of them positive, half negative


@torch.no_grad()
def start(
    model: Wav2Vec2ForSequenceClassification,
    copies: Sequence[Sequence[Frames]],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    groups: Sequence[str],
) -> None:
    """Sets the weights behind the filter bank; its last convolution then stays as it is.

    Args:
        model: Without its filter bank (``frames.split``), wider than the bank's movements.
        copies: Frames of the training clips.
        labels: Class of each clip, int64 [clips].
        weights: Chance of each clip, float64 [clips].
        groups: Not used: averages need no directions to look in.
    """
    del groups
    clips = [torch.from_numpy(copy)[None].float() * STEP for forms in copies for copy in forms]
    sample = clips[:: max(1, len(clips) // SAMPLE)]
    used = model.wav2vec2.feature_extractor.conv_layers[0].conv.in_channels // 2
    model.eval()
    quieten(model)
    _movements(model.wav2vec2.feature_extractor.conv_layers[0], sample, used)
    _project(model, used)
    _average(model, sample, used)
    _perceptrons(model, used)
    repeats = [len(forms) for forms in copies]
    pooled = torch.cat([model.projector(model.wav2vec2(clip).last_hidden_state).mean(1) for clip in clips])
    chances = torch.from_numpy(np.repeat(weights / repeats, repeats)).float()
    fit(model.classifier, pooled, torch.from_numpy(np.repeat(labels, repeats)), chances)


def _movements(layer: Any, sample: Sequence[Tensor], used: int) -> None:
    """Both signs of a movement added up over three frames; the channels left over are constant."""
    conv, norm = cast(nn.Conv1d, layer.conv), cast(nn.LayerNorm, layer.layer_norm)
    nn.init.zeros_(conv.weight)
    for channel in range(used):
        conv.weight[channel, channel] = conv.weight[channel, used + channel] = 1.0
    settle(layer, sample, SMALL * EPSILON)
    norm.weight.mul_(FRAME_SCALE)
    norm.bias.fill_(3 * FRAME_SCALE)
    norm.weight[used:] = 0.0
    norm.bias[used:] = 0.0
    norm.bias[used::2] = CEILING
    layer.requires_grad_(False)


def _project(model: Wav2Vec2ForSequenceClassification, used: int) -> None:
    """Movements at unit scale, times ``KEPT``, and constant channels of both signs."""
    norm, linear = model.wav2vec2.feature_projection.layer_norm, model.wav2vec2.feature_projection.projection
    resting = model.wav2vec2.feature_extractor.conv_layers[0].layer_norm.bias
    spread = (resting.var(unbiased=False) + EPSILON).sqrt()
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)
    norm.weight[:used] = spread / FRAME_SCALE
    norm.bias[:used] = (resting.mean() - resting[0]) / FRAME_SCALE
    linear.weight.mul_(KEPT)
    linear.bias[used:] = ANCHOR
    linear.bias[used::2] = -ANCHOR
    model.wav2vec2.masked_spec_embed.copy_(linear.bias)
    for parameter in (*norm.parameters(), linear.bias, model.wav2vec2.masked_spec_embed):
        parameter.requires_grad_(False)


def _average(model: Wav2Vec2ForSequenceClassification, sample: Sequence[Tensor], used: int) -> None:
    """Even attention in the first layer, whose answer is the clip's averages in standard deviations."""
    layer = model.wav2vec2.encoder.layers[0]
    attention = layer.attention
    for linear in (attention.k_proj, attention.q_proj, attention.v_proj, attention.out_proj):
        nn.init.zeros_(linear.bias)
    nn.init.zeros_(attention.k_proj.weight)
    nn.init.eye_(attention.v_proj.weight)
    seen: list[Tensor] = []
    hook = layer.layer_norm.register_forward_hook(lambda _, __, output: seen.append(output.mean(1)))
    for clip in sample:
        model.wav2vec2(clip)
    hook.remove()
    averages = torch.cat(seen)[:, :used]
    scale = 1.0 / (averages.std(0) + 1e-3)
    nn.init.zeros_(attention.out_proj.weight)
    attention.out_proj.weight[range(used), range(used)] = scale
    attention.out_proj.bias[:used] = -scale * averages.mean(0)


def _perceptrons(model: Wav2Vec2ForSequenceClassification, used: int) -> None:
    """Norms that undo what the constant channels divide by, and hidden layers that bend."""
    width = model.config.hidden_size
    divisor = (1.0 + ANCHOR**2 * (width - used) / width) ** 0.5
    encoder = model.wav2vec2.encoder
    for norm in (*(layer.final_layer_norm for layer in encoder.layers), encoder.layer_norm):
        nn.init.zeros_(norm.weight)
        norm.weight[:used] = divisor
    for layer in encoder.layers:
        nn.init.kaiming_normal_(layer.feed_forward.intermediate_dense.weight)
