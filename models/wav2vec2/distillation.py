"""Learning from a teacher as well as from labels: its opinion of every copy of a clip, and the embedding behind it.

A few hundred labels say little about a voice; a network that has heard thousands says much, and the small one has to be
able to read its embedding off its own (Hinton et al. 2015; Romero et al., "FitNets", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from transformers import Wav2Vec2ForSequenceClassification

from models.training.augment import Audio
from models.training.embedding import Answer
from models.wav2vec2.lesson import Lesson, of_labels

FOLDS = 5
FITTED = 4  # copies of each clip that an opinion is fitted on
PENALTY = 0.01  # inverse strength (scikit-learn's C) for embeddings of unit variance


class Encoder(Protocol):
    """A network that was trained elsewhere."""

    def embed(self, clips: Sequence[Audio]) -> NDArray[np.float32]:
        """What it makes of clips, float32 [clips, dimensions]."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """Whom to learn from, and how much.

    Attributes:
        encoder: Gives the embeddings.
        groups: Speaker (or the like) of each clip; no opinion of a clip comes from its own group's labels.
        kept: File in which the copies and their embeddings are kept, for this data.
        share: Of the targets that is its opinion; the rest is the label.
        embedding_weight: Of the loss on embeddings (mean squared error, unit variance) beside the cross-entropy.
    """

    encoder: Encoder
    groups: Sequence[str]
    kept: Path
    share: float = 0.7
    embedding_weight: float = 1.0


def prepare(teacher: Teacher, embeddings: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> Lesson:
    """Makes the targets.

    Args:
        teacher: Its groups and share are used.
        embeddings: float32 [clips, copies, dimensions].
        labels: int64 [clips].
        classes: Number of classes.
    """
    opinions = _opinions(embeddings, labels, np.array(teacher.groups), classes)
    targets = teacher.share * opinions + (1 - teacher.share) * of_labels(labels, embeddings.shape[1], classes).targets
    centre, spread = embeddings.mean((0, 1)), embeddings.std((0, 1)) + 1e-3
    return Lesson(targets, np.asarray((embeddings - centre) / spread, np.float32))


def _opinions(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.str_], classes: int
) -> NDArray[np.float32]:
    """Probabilities float32 [clips, copies, classes] of logistic regressions on embeddings, fitted on other groups."""
    count, copies, dimensions = embeddings.shape
    opinions = np.zeros((count, copies, classes), np.float32)
    folds = GroupKFold(min(FOLDS, len(np.unique(groups))), shuffle=True, random_state=0)
    for fitted, judged in folds.split(labels, groups=groups):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=500))
        few = embeddings[fitted, :FITTED]
        model.fit(few.reshape(-1, dimensions), np.repeat(labels[fitted], few.shape[1]))
        answers = model.predict_proba(embeddings[judged].reshape(-1, dimensions))
        opinions[np.ix_(judged, np.arange(copies), model.classes_)] = answers.reshape(len(judged), copies, -1)
    return opinions


class Student(nn.Module):
    """A classifier with one layer more, which reads the teacher's embedding off what the classes are read off."""

    def __init__(self, model: Wav2Vec2ForSequenceClassification, dimensions: int) -> None:
        """Takes over a classifier; the further layer is not part of it.

        Args:
            model: Without its filter bank (``frames.split``), or with it.
            dimensions: Of the teacher's embedding.
        """
        super().__init__()
        self.model = model
        self.embedding = nn.Linear(model.projector.out_features, dimensions)

    def forward(self, input_values: Tensor, attention_mask: Tensor) -> Answer:
        """As the classifier does it, on the average over the frames of each clip."""
        hidden = self.model.wav2vec2(input_values, attention_mask=attention_mask).last_hidden_state
        mask = self.model._get_feature_vector_attention_mask(hidden.shape[1], attention_mask)[..., None]
        pooled = (self.model.projector(hidden) * mask).sum(1) / mask.sum(1)
        return Answer(self.model.classifier(pooled), self.embedding(pooled))
