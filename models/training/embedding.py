"""Learning to read a teacher's embedding off one's own, beside the classes (Romero et al., "FitNets", ICLR 2015)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from models.training.loop import Batch, Loss


class Answer(NamedTuple):
    """What a student makes of a batch: logits [batch, classes], and the teacher's embedding [batch, dimensions]."""

    logits: Tensor
    embeddings: Tensor


def loss(embedding_weight: float, smoothing: float) -> Loss:
    """Cross-entropy on the targets, and the squared error on the embeddings.

    Args:
        embedding_weight: Of the second.
        smoothing: Of the labels in the first.
    """

    def value(module: nn.Module, batch: Batch) -> Tensor:
        assert batch.embeddings is not None  # noqa: S101 - a lesson has them
        answer: Answer = module(**batch.inputs)
        entropy = nn.functional.cross_entropy(answer.logits, batch.targets, label_smoothing=smoothing)
        return entropy + embedding_weight * nn.functional.mse_loss(answer.embeddings, batch.embeddings)

    return value
