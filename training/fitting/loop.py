"""The training loop of the torch models: AdamW, warm-up and cosine, weight averaging, resumable after any epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's data.

    Attributes:
        inputs: The network's keyword arguments.
        targets: float32 [batch, classes], each row a distribution (one-hot, smoothed or mixed).
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training run is made of, besides its data.

    Attributes:
        epochs: Passes of ``steps`` steps.
        steps: Steps of one epoch.
        learning_rate: Peak, after the warm-up.
        weight_decay: Of matrices and kernels; biases and norms have none.
        warmup: Share of all steps over which the rate rises.
        ema_decay: Of the averaged weights, which are the result.
        max_norm: Gradients are scaled down to this norm.
        label_smoothing: Share of each target that is spread evenly over all classes.
        seed: Of torch; every epoch starts from ``seed + epoch``, so that a resumed run repeats an unbroken one.
    """

    epochs: int
    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    ema_decay: float = 0.995
    max_norm: float = 1.0
    label_smoothing: float = 0.05
    seed: int = 0


Batches = Callable[[int], Iterable[Batch]]  # the batches of an epoch
Validate = Callable[[torch.nn.Module], Mapping[str, float]]  # figures of the averaged network, in evaluation mode
Loss = Callable[[torch.nn.Module, Batch], Tensor]


def one_hot(labels: np.ndarray[Any, np.dtype[np.int64]], classes: int) -> Tensor:
    """Class indices int64 [batch] as targets, float32 [batch, classes]."""
    return torch.nn.functional.one_hot(torch.from_numpy(labels), classes).float()


def logits_of(module: torch.nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """Logits [batch, classes] of a module that returns them, or a transformers output that has them."""
    output = module(**inputs)
    return output if isinstance(output, Tensor) else output.logits


def cross_entropy(smoothing: float) -> Loss:
    """The usual loss, on soft targets."""

    def loss(module: torch.nn.Module, batch: Batch) -> Tensor:
        logits = logits_of(module, batch.inputs)
        return torch.nn.functional.cross_entropy(logits, batch.targets, label_smoothing=smoothing)

    return loss


class Trainer:
    """One training run; ``run`` returns the averaged network.

    Attributes:
        module: The network being trained.
        average: Exponential moving average of its weights: the result.
        history: One entry for each finished epoch: ``epoch``, ``loss`` and what ``validate`` returned.
    """

    def __init__(self, module: torch.nn.Module, settings: Settings, loss: Loss | None = None) -> None:
        """Prepares a run.

        Args:
            module: Already on its device.
            settings: The run.
            loss: Cross-entropy where none is given.
        """
        self.module = module
        self.settings = settings
        self.loss = loss or cross_entropy(settings.label_smoothing)
        self.average = copy.deepcopy(module).eval().requires_grad_(False)
        self.history: list[dict[str, float]] = []
        self._optimiser = torch.optim.AdamW(_groups(module, settings.weight_decay), lr=settings.learning_rate)
        self._step = 0

    def run(
        self, batches: Batches, validate: Validate | None = None, checkpoint: Path | None = None, resume: bool = False
    ) -> torch.nn.Module:
        """Trains to the last epoch.

        Args:
            batches: The data of an epoch; the same epoch gives the same data.
            validate: Called after every epoch.
            checkpoint: Written after every epoch.
            resume: Go on from the checkpoint, if there is one.
        """
        if resume and checkpoint and checkpoint.exists():
            self._load(checkpoint)
        with tqdm(range(len(self.history), self.settings.epochs), unit="epoch") as bar:
            for epoch in bar:
                entry = {"epoch": float(epoch), "loss": self._epoch(epoch, batches)}
                entry |= validate(self.average) if validate else {}
                self.history.append(entry)
                bar.set_postfix({name: f"{value:.3f}" for name, value in entry.items() if name != "epoch"})
                if checkpoint:
                    self._save(checkpoint)
        return self.average

    def _epoch(self, epoch: int, batches: Batches) -> float:
        torch.manual_seed(self.settings.seed + epoch)
        np.random.seed(self.settings.seed + epoch)  # transformers' SpecAugment draws from it
        self.module.train()
        losses = [self._train(batch) for batch in batches(epoch)]
        return sum(losses) / max(len(losses), 1)

    def _train(self, batch: Batch) -> float:
        rate = self.settings.learning_rate * schedule(self._step, self.settings)
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        self._optimiser.zero_grad(set_to_none=True)
        loss = self.loss(self.module, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.max_norm)
        self._optimiser.step()
        self._step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.ema_decay, (1.0 + self._step) / (10.0 + self._step))
        for averaged, current in zip(self.average.parameters(), self.module.parameters(), strict=True):
            averaged.lerp_(current, 1.0 - decay)
        for kept, latest in zip(self.average.buffers(), self.module.buffers(), strict=True):
            kept.copy_(latest)

    def _save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: getattr(self, name).state_dict() for name in ("module", "average", "_optimiser")}
        partial = path.with_suffix(".partial")
        torch.save({**state, "history": self.history, "step": self._step}, partial)
        partial.replace(path)

    def _load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        for name in ("module", "average", "_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.history[:], self._step = state["history"], state["step"]  # the same list: others may hold it


def schedule(step: int, settings: Settings) -> float:
    """Share of the peak learning rate at a step: linear rise, then half a cosine down to 1 %."""
    total = settings.epochs * settings.steps
    rise = max(1, round(settings.warmup * total))
    if step < rise:
        return (step + 1) / rise
    progress = min(1.0, (step - rise) / max(1, total - rise))
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))


def _groups(module: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without weight decay; ``param.rate_scale`` (default 1) scales a parameter's own rate."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            key = (weight_decay if parameter.ndim > 1 else 0.0, float(getattr(parameter, "rate_scale", 1.0)))
            groups.setdefault(key, []).append(parameter)
    return [{"params": params, "weight_decay": decay, "scale": scale} for (decay, scale), params in groups.items()]
