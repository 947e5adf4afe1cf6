"""Human or AI-generated speech, the spectrogram's member: ``python -m training.deepfake_cnn`` writes its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.deepfake_cnn import SPEC, network
from models.deepfake_cnn.processing import BANDS, PROCESSOR
from models.processing import Features
from training import export
from training.data.datasets import Clip, draw
from training.fitting import loop, members

NETWORKS = 3  # averaged in the model
EPOCHS, STEPS, BATCH = 5, 40, 64
FRAMES = (96, 224)  # shortest and longest training piece, 1 to 2.2 s; one length for each batch
NARROW_SHARE = 0.3  # of the pieces have their highest bands taken away
NARROW = (93, BANDS)  # from this band on: 3.4 kHz and above
RATE, DECAY, SMOOTHING = 2e-3, 0.1, 0.1


class DeepfakeCnn(members.Member):
    """The recipe."""

    spec = SPEC
    processor = PROCESSOR
    kept = np.float16

    def train(self, clips: Sequence[Clip], seed: int = 0) -> network.TextureCnn:
        """One network, trained on random pieces of clips, some of them with a narrow band."""
        labels, weights = members.labels(clips), members.weights(clips)
        pictures = [self.features(clips, form) for form in range(len(members.FORMS))]

        def batches(epoch: int) -> Iterator[loop.Batch]:
            rng = np.random.default_rng((seed, epoch))
            for chosen in draw(weights, STEPS * BATCH, rng).reshape(STEPS, BATCH):
                frames, forms = int(rng.integers(*FRAMES)), rng.integers(len(pictures), size=BATCH)
                pieces = [piece(pictures[form][place], frames, rng) for form, place in zip(forms, chosen, strict=True)]
                inputs = {name: torch.from_numpy(value) for name, value in PROCESSOR.collate(pieces).items()}
                yield loop.Batch(inputs, loop.one_hot(labels[chosen], network.CLASSES))

        torch.manual_seed(seed)
        settings = loop.Settings(EPOCHS, STEPS, RATE, DECAY, seed=seed, ema_decay=0.98)
        trained = loop.Trainer(network.TextureCnn(), settings, loop.cross_entropy(SMOOTHING)).run(batches)
        assert isinstance(trained, network.TextureCnn)  # noqa: S101 - for the type checker
        return trained.eval()

    def trained(self, clips: Sequence[Clip]) -> members.Fitted:
        """One network."""
        module = self.train(clips)
        return lambda others: answers(module, self.features(others))

    def write(self, clips: Sequence[Clip], out: Path) -> None:
        """Several networks, trained on the same clips with other seeds."""
        ensemble = network.Ensemble(NETWORKS)
        for seed, member in enumerate(ensemble.members):
            member.load_state_dict(self.train(clips, seed).state_dict())
        ensemble.save(out)

    def export(self, out: Path, clips: Sequence[Clip]) -> float:
        """Clip by clip, as they are of different lengths."""
        batches = [PROCESSOR.collate([picture]) for picture in self.features(clips)]
        return export.save_torch(network.load_native(out), out, network.SHAPES, batches)


def piece(picture: Features, frames: int, rng: np.random.Generator) -> Features:
    """At most so many frames of a picture, from a random place; sometimes as a narrow channel passes them on."""
    start = int(rng.integers(0, max(1, len(picture) - frames + 1)))
    part = picture[start : start + frames].copy()
    if rng.random() < NARROW_SHARE:
        part[:, int(rng.integers(*NARROW)) :] = 0.0
    return part


def answers(module: torch.nn.Module, pictures: Sequence[Features]) -> NDArray[np.float32]:
    """Logits of whole clips, float32 [clips, classes]."""
    groups = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
    return np.concatenate([export.logits(module, PROCESSOR.collate(group)) for group in groups])


RECIPE = DeepfakeCnn()

if __name__ == "__main__":
    members.main(RECIPE, __doc__)
