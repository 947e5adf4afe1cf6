"""A head of dense networks on the encoder's statistics: each is fitted without a part of the clips.

So one fit gives both the head, which averages the networks' logits (bagging), and for every clip the logits of a
network that has not seen it, on which the calibration is fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.encoder.network import DenseHead as Network
from training.evaluation.folds import Split
from training.fitting import heads, loop


@dataclass(frozen=True, slots=True)
class Settings:
    """Of a fit; the values are those that left-out pages of samples chose.

    Attributes:
        hidden: Units of each of the two hidden layers.
        epochs: Passes of each network over about as many clips as there are in all.
        batch: Clips in a step of each network.
        rate: Highest learning rate.
        decay: Weight decay.
        unread: Share of the features that a step does not read.
        dropped: Share of the hidden units that a step leaves out.
        noise: Standard deviation of what is added to the features, in theirs.
        smoothing: Share of a target that is spread over the classes.
    """

    hidden: int = 256
    epochs: int = 12
    batch: int = 128
    rate: float = 1e-3
    decay: float = 0.05
    unread: float = 0.2
    dropped: float = 0.3
    noise: float = 0.3
    smoothing: float = 0.1


@dataclass(frozen=True, slots=True)
class Form:
    """Clips as they are, or as something was done to them.

    Attributes:
        rows: float32 [clips, features].
        labels: int64 [clips], of this form.
        share: Of the draws that are of this form, against those of the others.
    """

    rows: heads.Rows
    labels: NDArray[np.int64]
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class DenseHead:
    """Fitted networks.

    Attributes:
        values: By the names of ``models.encoder.network.DenseHead``; weights float16, biases float32.
    """

    values: dict[str, NDArray[Any]]

    def logits(self, rows: heads.Rows) -> NDArray[np.float64]:
        """Float64 [clips, classes]."""
        return np.asarray(self.each(rows).mean(axis=0))

    def each(self, rows: heads.Rows) -> NDArray[np.float64]:
        """Logits of each network, float64 [networks, clips, classes]."""
        network = Network({name: torch.from_numpy(value.astype(np.float32)) for name, value in self.values.items()})
        with torch.inference_mode():
            return np.asarray(network.each(torch.from_numpy(rows)).numpy(), np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept of it, by name."""
        return self.values


class _Fitted(nn.Module):
    """The networks while they learn: ``forward`` takes standardised features [networks, batch, features]."""

    def __init__(self, networks: int, sizes: Sequence[int], settings: Settings) -> None:
        super().__init__()
        pairs = list(pairwise(sizes))
        self.weights = nn.ParameterList(torch.randn(networks, size, out) / size**0.5 for size, out in pairs)
        self.biases = nn.ParameterList(torch.zeros(networks, 1, out) for _, out in pairs)
        self.settings = settings

    def forward(self, states: Tensor) -> Tensor:
        """Logits [networks * batch, classes], computed in 16 bits: enough to learn by, and four times as fast."""
        with torch.autocast("cpu", torch.bfloat16):
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                share = self.settings.dropped if layer else self.settings.unread
                states = torch.baddbmm(bias, functional.dropout(states, share, self.training), weight)
                states = functional.gelu(states) if layer + 1 < len(self.weights) else states
        return states.flatten(0, 1).float()


def fit(
    forms: Sequence[Form], weights: NDArray[np.float64], parts: Sequence[Split], settings: Settings | None = None
) -> DenseHead:
    """Fits a network for each part; the same rows give the same, as torch computes on one thread.

    Args:
        forms: Of the same clips; the first as they are.
        weights: float64 [clips], how often each clip is drawn.
        parts: What the network of each part learns from (``train``).
        settings: The usual ones where none are given.

    Raises:
        RuntimeError: A part has no clip to learn from.
    """
    plain = forms[0].rows
    mean, spread = heads.standard(plain, np.ones(len(plain)))
    chances = torch.zeros(len(parts), len(plain), dtype=torch.float64)
    for row, part in zip(chances, parts, strict=True):
        row[part.train] = torch.from_numpy(weights[part.train])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        networks = _trained(_Drawn.of(forms, mean, spread), chances, settings or Settings())
    finally:
        torch.set_num_threads(threads)
    return DenseHead(_kept(networks, mean, spread, read=np.ptp(plain, axis=0) > 0))


def cross_fitted(head: DenseHead, rows: heads.Rows, parts: Sequence[Split]) -> NDArray[np.float64]:
    """Logits of each clip by the network that has not seen it, float64 [clips, classes]; NaN where all have.

    Args:
        head: As ``fit`` made it of these parts.
        rows: float32 [clips, features].
        parts: Which clips each network has not seen (``test``).
    """
    each = head.each(rows)
    logits = np.full(each.shape[1:], np.nan)
    for own, part in zip(each, parts, strict=True):
        logits[part.test] = own[part.test]
    return logits


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What clips are drawn from: standardised features and targets [forms, clips, ...], and the forms' shares."""

    tables: Tensor
    targets: Tensor
    shares: Tensor

    @classmethod
    def of(cls, forms: Sequence[Form], mean: NDArray[np.float64], spread: NDArray[np.float64]) -> _Drawn:
        classes = int(max(form.labels.max() for form in forms)) + 1
        return cls(
            torch.stack([torch.from_numpy(((form.rows - mean) / spread).astype(np.float32)) for form in forms]),
            torch.stack([loop.one_hot(form.labels, classes) for form in forms]),
            torch.tensor([form.share for form in forms]),
        )

    def at(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Features and targets of clips [networks, batch], each in a form that is drawn."""
        which = torch.multinomial(self.shares, places.numel(), replacement=True).reshape(places.shape)
        return self.tables[which, places], self.targets[which, places]


def _trained(drawn: _Drawn, chances: Tensor, settings: Settings) -> _Fitted:
    torch.manual_seed(0)
    clips, (features, classes) = chances.shape[1], (drawn.tables.shape[2], drawn.targets.shape[2])
    module = _Fitted(len(chances), (features, settings.hidden, settings.hidden, classes), settings)
    steps = max(1, clips // settings.batch)

    def batches(_: int) -> Iterator[loop.Batch]:
        for _ in range(steps):
            states, targets = drawn.at(torch.multinomial(chances, settings.batch, replacement=True))
            states += settings.noise * torch.randn(states.shape)
            yield loop.Batch({"states": states}, targets.flatten(0, 1))

    run = loop.Settings(settings.epochs, steps, settings.rate, settings.decay, ema_decay=0.98)
    fitted = loop.Trainer(module, run, loop.cross_entropy(settings.smoothing)).run(batches)
    assert isinstance(fitted, _Fitted)  # noqa: S101 - for the type checker
    return fitted


def _kept(
    module: _Fitted, mean: NDArray[np.float64], spread: NDArray[np.float64], read: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """The values of networks, the scaling of the features within the first layer; constant features are not read."""
    kept: dict[str, NDArray[Any]] = {}
    for layer, (weights, biases) in enumerate(zip(module.weights, module.biases, strict=True)):
        weight, bias = weights.detach().numpy().astype(np.float64), biases.detach().numpy().astype(np.float64)
        if layer == 0:
            weight = (weight * (read / spread)[:, None]).astype(np.float16).astype(np.float64)
            bias = bias - (mean @ weight)[:, None]
        kept |= {f"weight{layer}": weight.astype(np.float16), f"bias{layer}": bias.astype(np.float32)}
    return kept
