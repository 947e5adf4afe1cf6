"""A supervised start for the trained part of the network, in closed form.

Where the classes differ in a small way in every frame, the gradient of a batch is mostly noise and training from random
weights does not set off. So the first trained convolution starts with the directions that tell the classes, and groups
of clips within them, apart on the average over time (ridge regression), the residual layers start out quiet, and the
last layer is fitted (logistic regression) before the first step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Wav2Vec2ForSequenceClassification

from models.wav2vec2.filterbank import settle
from models.wav2vec2.frames import STEP, Frames

RIDGE = 0.5  # penalty, relative to the number of clips; inputs have unit variance
PENALTY = 0.02  # of the last layer's squared weights, for inputs of unit variance
SMALLEST = 20  # clips of a group that is worth a direction of its own
QUIET = 0.1  # scale of the residual branches at the start


@torch.no_grad()
def start(
    model: Wav2Vec2ForSequenceClassification,
    copies: Sequence[Sequence[Frames]],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    groups: Sequence[str],
) -> None:
    """Sets the weights behind the filter bank.

    Args:
        model: Without its filter bank (``frames.split``).
        copies: Frames of the training clips.
        labels: Class of each clip, int64 [clips].
        weights: Chance of each clip, float64 [clips].
        groups: Of each clip, a kind within its class.
    """
    clips = [copy for forms in copies for copy in forms]
    repeats = [len(forms) for forms in copies]
    weight = np.repeat(weights / repeats, repeats)
    kinds = np.repeat(np.array(groups), repeats)
    classes = np.repeat(labels, repeats)
    layer = model.wav2vec2.feature_extractor.conv_layers[0]
    _directions(layer.conv, _means(clips), classes, kinds, weight)
    sample = [_tensor(clip) for clip in clips[:: max(1, len(clips) // 200)]]
    settle(layer, sample)
    quieten(model)
    model.eval()
    pooled = torch.cat([_pooled(model, _tensor(clip)) for clip in clips])
    fit(model.classifier, pooled, torch.from_numpy(classes), torch.from_numpy(weight).float())


def _means(clips: Sequence[Frames]) -> NDArray[np.float64]:
    return np.stack([clip.mean(axis=1) for clip in clips]) * STEP


def _tensor(clip: Frames) -> Tensor:
    return torch.from_numpy(clip)[None].float() * STEP


def _directions(
    conv: nn.Conv1d,
    means: NDArray[np.float64],
    classes: NDArray[np.int64],
    kinds: NDArray[np.str_],
    weight: NDArray[np.float64],
) -> None:
    """Writes a pair of channels of opposite sign for the label and for each kind against the other classes."""
    centre, spread = means.mean(0), means.std(0) + 1e-3
    names = [str(kind) for kind in np.unique(kinds) if (kinds == kind).sum() >= SMALLEST]
    tasks = [(classes == 1, np.ones(len(classes), bool))]
    tasks += [(kinds == kind, (kinds == kind) | (classes != classes[kinds == kind][0])) for kind in names]
    scaled = (means - centre) / spread
    for row, (positive, used) in enumerate(tasks[: conv.out_channels // 4]):
        direction = torch.from_numpy(_ridge(scaled[used], positive[used], weight[used]) / spread).float()
        conv.weight[2 * row] = direction[:, None] / conv.kernel_size[0]
        conv.weight[2 * row + 1] = -conv.weight[2 * row]


def _ridge(
    inputs: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of a balanced ridge regression on +1 and -1, float64 [inputs]."""
    share = np.where(positive, weight / weight[positive].sum(), weight / weight[~positive].sum()) * len(weight) / 2
    target = np.where(positive, 1.0, -1.0)
    centred = inputs - np.average(inputs, axis=0, weights=share)
    gram = (centred * share[:, None]).T @ centred
    solution = np.linalg.solve(gram + RIDGE * len(inputs) * np.eye(len(gram)), (centred * share[:, None]).T @ target)
    return np.asarray(solution, np.float64)


@torch.no_grad()
def quieten(model: Wav2Vec2ForSequenceClassification) -> None:
    """Passes the convolution's output on nearly unchanged: identity projections, quiet residual branches."""
    encoder = model.wav2vec2.encoder
    for layer in encoder.layers:
        layer.attention.out_proj.weight.mul_(QUIET)
        layer.feed_forward.output_dense.weight.mul_(QUIET)
    encoder.pos_conv_embed.conv.parametrizations.weight.original0.mul_(QUIET)
    for linear in (model.wav2vec2.feature_projection.projection, model.projector):
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)


def _pooled(model: Wav2Vec2ForSequenceClassification, frames: Tensor) -> Tensor:
    pooled: Tensor = model.projector(model.wav2vec2(frames).last_hidden_state).mean(1)
    return pooled


@torch.no_grad()
def fit(classifier: nn.Linear, inputs: Tensor, labels: Tensor, weight: Tensor) -> None:
    """Logistic regression with a penalty that is chosen for inputs of unit variance."""
    centre, spread = inputs.mean(0), inputs.std(0) + 1e-3
    scaled = (inputs - centre) / spread
    matrix = torch.zeros(classifier.out_features, inputs.shape[1], requires_grad=True)
    bias = torch.zeros(classifier.out_features, requires_grad=True)
    optimiser = torch.optim.LBFGS([matrix, bias], max_iter=100, line_search_fn="strong_wolfe")

    @torch.enable_grad()
    def loss() -> Tensor:
        optimiser.zero_grad()
        losses = nn.functional.cross_entropy(scaled @ matrix.T + bias, labels, reduction="none")
        value = (losses * weight).sum() / weight.sum() + PENALTY * matrix.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    classifier.weight.copy_(matrix / spread)
    classifier.bias.copy_(bias - (matrix / spread) @ centre)
