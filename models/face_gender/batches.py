"""Batches of changed faces for the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.face_gender import SPEC
from models.face_gender.augment import augment
from models.face_gender.data import FaceSet
from training.data.datasets import balanced_weights, draw
from training.fitting.loop import Batch, logits_of, one_hot
from training.fitting.precision import fast

AGE_EDGES = (10, 20, 30, 40, 50, 60, 70)  # years at which the next band begins
BALANCE = (0.3, 0.5)  # of age, then of ethnicity: 0 draws groups as often as they occur, 1 all equally often
MIXUP_ALPHA = 0.3  # of the beta distribution of shares (Zhang et al., "mixup", ICLR 2018)


@dataclass(frozen=True, slots=True)
class FaceBatches:
    """As many training pictures an epoch as there are, each changed anew.

    Children and the old are few and hard, so they are drawn more often than they occur, and so are rarer ethnicities.

    Attributes:
        faces: The pictures, somewhat larger than the network reads them.
        size: Side of what the network reads (pixels).
        batch: Pictures in a batch.
        mixup: Share of the batches in which pictures are blended in pairs.
        seed: The same seed and epoch give the same batches.
        teachers: Trained networks whose mean answer is part of the targets.
        trust: Share of the targets that is the teachers' answer.
        device: Where the batches go.
    """

    faces: FaceSet
    size: int
    batch: int = 64
    mixup: float = 0.3
    seed: int = 0
    teachers: tuple[torch.nn.Module, ...] = ()
    trust: float = 0.6
    device: torch.device | None = None

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self.faces.labels) // self.batch

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """All batches of one epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        bands = np.searchsorted(AGE_EDGES, self.faces.ages, side="right")
        weights = balanced_weights(bands.tolist(), self.faces.ethnicities.tolist(), powers=BALANCE)
        for places in draw(weights, self.steps * self.batch, rng).reshape(self.steps, self.batch):
            yield self._one(places, rng)

    def _one(self, places: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        crops = [augment(self.faces.crops[place], self.size, rng) for place in places]
        pictures = torch.from_numpy(np.stack(crops)).to(self.device).float()
        targets = one_hot(self.faces.labels[places], len(SPEC.classes)).to(self.device)
        if rng.random() < self.mixup:
            share = float(rng.beta(MIXUP_ALPHA, MIXUP_ALPHA))
            pictures = share * pictures + (1 - share) * pictures.roll(1, 0)
            targets = share * targets + (1 - share) * targets.roll(1, 0)
        if self.teachers:
            targets = (1 - self.trust) * targets + self.trust * self._taught(pictures)
        return Batch({"input_values": pictures}, targets)

    @torch.no_grad()
    def _taught(self, pictures: Tensor) -> Tensor:
        """Mean probabilities of the teachers, [batch, classes]."""
        device = pictures.device
        with torch.autocast(device.type, torch.bfloat16, enabled=fast(device)):
            answers = [logits_of(teacher, {"input_values": pictures}) for teacher in self.teachers]
        return torch.stack([answer.float().softmax(-1) for answer in answers]).mean(0)
