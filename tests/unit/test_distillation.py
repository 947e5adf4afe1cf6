"""Learning from a teacher: its opinions, its embeddings, and what of both reaches the student."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2ForSequenceClassification

from models import registry
from models.training import embedding
from models.training.augment import Audio
from models.training.loop import Batch
from models.wav2vec2 import distillation, filterbank, frames, network
from models.wav2vec2.details import Comparisons
from models.wav2vec2.distillation import Student, Teacher
from models.wav2vec2.embedded import EmbeddedCopies
from models.wav2vec2.lesson import Lesson, of_labels

CLASSES = 2


class Silent:
    """A teacher's network that is never asked."""

    def embed(self, clips: Sequence[Audio]) -> Audio:
        raise AssertionError


def lesson(labels: list[int], share: float = 0.5) -> Lesson:
    """Of ten groups of two clips, whose embeddings tell the classes by their first number, three copies of each."""
    rng = np.random.default_rng(0)
    truth = np.arange(len(labels)) % CLASSES
    embeddings = rng.normal(size=(len(labels), 3, 8)).astype(np.float32) + 5
    embeddings[..., 0] += 4.0 * truth[:, None]
    groups = [f"speaker {place // 2}" for place in range(len(labels))]
    return distillation.prepare(
        Teacher(Silent(), groups, Path("unused"), share), embeddings, np.array(labels, np.int64), CLASSES
    )


def test_targets_are_between_label_and_opinion() -> None:
    labels = [place % CLASSES for place in range(20)]
    made = lesson(labels)
    assert made.targets.shape == (20, 3, CLASSES)
    np.testing.assert_allclose(made.targets.sum(2), 1.0, atol=1e-6)
    of_label = np.take_along_axis(made.targets, np.array(labels)[:, None, None], 2)
    assert (of_label > 0.5).all()
    assert (of_label < 1.0).all()
    np.testing.assert_array_equal(lesson(labels, share=0.0).targets, of_labels(np.array(labels), 3, 2).targets)


def test_an_opinion_is_not_taken_from_the_labels_of_the_same_group() -> None:
    """A wrong label of one speaker would otherwise be learned by heart with his embedding."""
    labels = [place % CLASSES for place in range(20)]
    wrong = [1 - labels[0], *labels[1:]]
    before, after = lesson(labels, share=1.0), lesson(wrong, share=1.0)
    np.testing.assert_allclose(before.targets[0], after.targets[0], atol=1e-6)


def test_embeddings_are_scaled() -> None:
    embeddings = lesson([place % CLASSES for place in range(20)]).embeddings
    assert embeddings is not None
    np.testing.assert_allclose(embeddings.mean((0, 1)), 0.0, atol=1e-5)
    np.testing.assert_allclose(embeddings.std((0, 1)), 1.0, atol=1e-2)


@pytest.fixture(scope="module")
def model() -> Wav2Vec2ForSequenceClassification:
    """A small network with random weights, in evaluation mode."""
    torch.manual_seed(0)
    bands = filterbank.linear_bands(200.0, 6_000.0, 24, 0.032)
    configuration = network.configuration(registry.specs()["voice_gender"], bands, 512, Comparisons())
    return Wav2Vec2ForSequenceClassification(configuration).eval()


def batch(lengths: tuple[int, ...]) -> Batch:
    """Noise, padded to the longest."""
    torch.manual_seed(1)
    width = max(lengths)
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in lengths])
    values = torch.randn(len(lengths), width) * mask
    targets = torch.tensor([[0.3, 0.7]] * len(lengths))
    return Batch({"input_values": values, "attention_mask": mask}, targets, torch.zeros(len(lengths), 8))


def test_a_student_answers_as_its_classifier_does(model: Wav2Vec2ForSequenceClassification) -> None:
    """In a batch of unlike lengths as well."""
    given = batch((16_000, 9_000))
    with torch.inference_mode():
        answer = Student(model, 8).eval()(**given.inputs)
        torch.testing.assert_close(answer.logits, model(**given.inputs).logits, atol=1e-5, rtol=0)
    assert answer.embeddings.shape == (2, 8)


def test_the_embedding_is_learned_through_the_classifier(model: Wav2Vec2ForSequenceClassification) -> None:
    given = batch((16_000, 16_000))
    student = Student(copy.deepcopy(model), 8)
    entropy, both = embedding.loss(0.0, 0.0), embedding.loss(1.0, 0.0)
    expected = torch.nn.functional.cross_entropy(student(**given.inputs).logits, given.targets)
    torch.testing.assert_close(entropy(student, given), expected)
    assert both(student, given) > entropy(student, given)
    weight = student.model.projector.weight
    (gradient,) = torch.autograd.grad(both(student, given) - entropy(student, given), weight)
    assert float(gradient.norm()) > 0


def copies_of(clips: int, copies: int) -> list[list[frames.Frames]]:
    """Frames that say whose they are: the clip in the first channel, the copy in the second."""
    return [
        [
            np.stack([np.full(40 + clip + copy, clip), np.full(40 + clip + copy, copy)]).astype(np.uint8)
            for copy in range(copies)
        ]
        for clip in range(clips)
    ]


def test_what_was_heard_is_kept(tmp_path: Path) -> None:
    embeddings = np.random.default_rng(0).normal(size=(3, 2, 8)).astype(np.float32)
    made = EmbeddedCopies(copies_of(3, 2), embeddings)

    def again() -> EmbeddedCopies:
        raise AssertionError

    for heard in (
        EmbeddedCopies.cached(tmp_path / "kept" / "embedded.npz", lambda: made),
        EmbeddedCopies.cached(tmp_path / "kept" / "embedded.npz", again),
    ):
        np.testing.assert_array_equal(heard.embeddings, embeddings)
        for expected, found in zip(made.copies, heard.copies, strict=True):
            assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))


def test_each_copy_is_taught_what_the_teacher_said_of_it() -> None:
    clips, copies = 4, 3
    targets = np.zeros((clips, copies, 2), np.float32)
    targets[..., 0] = np.arange(clips)[:, None] + np.arange(copies) / 10
    made = Lesson(targets, np.repeat(targets[..., :1], 5, axis=2))
    batches = frames.FrameBatches(copies_of(clips, copies), made, np.full(clips, 1 / clips), 4, 6, (0.2, 0.4), 320)
    drawn = set()
    for given in batches(0):
        whose, which = (given.inputs["input_values"][:, channel, 0] / frames.STEP for channel in (0, 1))
        torch.testing.assert_close(given.targets[:, 0], whose + which / 10)
        assert given.embeddings is not None
        torch.testing.assert_close(given.embeddings, given.targets[:, :1].expand(-1, 5))
        drawn |= {(int(clip), int(copy)) for clip, copy in zip(whose.round(), which.round(), strict=True)}
    assert len(drawn) > clips * copies / 2
