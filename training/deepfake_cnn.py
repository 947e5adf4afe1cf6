"""Human or AI-generated speech, the spectrogram's member: ``python -m training.deepfake_cnn`` writes its weights.

Four networks, each of which learns without a quarter of the pages, as those of the encoder's member do: the calibration
is fitted on what each has not met. They learn from the same three forms of a clip.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.calibration import Calibration
from models.deepfake_cnn import SPEC, network
from models.deepfake_cnn.processing import BANDS, PROCESSOR
from models.processing import Features
from training import export, voice_deepfake
from training.data.datasets import Clip, draw
from training.evaluation.folds import Split
from training.fitting import loop, members

EPOCHS, STEPS, BATCH = 10, 150, 64
FRAMES = (96, 224)  # shortest and longest training piece, 1 to 2.2 s; one length for each batch
NARROW_SHARE = 0.3  # of the pieces have their highest bands taken away
NARROW = (93, BANDS)  # from this band on: 3.4 kHz and above
RATE, DECAY, SMOOTHING = 5e-3, 0.1, 0.1
SHARES = (1.0 - voice_deepfake.WORN - voice_deepfake.COPIED, voice_deepfake.WORN, voice_deepfake.COPIED)


class DeepfakeCnn(members.Member):
    """The recipe."""

    spec = SPEC
    processor = PROCESSOR
    kept = np.float16
    forms = ("plain", "worn", "copied")  # drawn in ``SHARES``

    def fitted(self, clips: Sequence[Clip]) -> tuple[network.Ensemble, Calibration]:
        """A network for each quarter of the pages, two at a time in processes of their own."""
        parts = voice_deepfake.quarters(clips)
        ensemble = network.Ensemble(len(parts))
        work = partial(trained_part, clips, self.data, members.KEPT, (EPOCHS, STEPS))
        fresh = multiprocessing.get_context("spawn")  # torch may not train in a fork of a process that has used it
        with ProcessPoolExecutor(members.WORKERS, mp_context=fresh) as pool:
            for module, state in zip(ensemble.members, pool.map(work, range(len(parts)), parts), strict=True):
                module.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        ensemble.eval()
        of_part = dict(zip((part.name for part in parts), ensemble.members, strict=True))
        logits = members.unmet(lambda part: of_part[part.name], self, clips, parts)
        return ensemble, members.calibrated(logits, clips)

    def train(self, clips: Sequence[Clip], seed: int = 0, course: tuple[int, int] | None = None) -> network.TextureCnn:
        """One network, trained on random pieces of the forms of clips, some of them with a narrow band.

        Args:
            clips: Of ``clips``.
            seed: Of all chance.
            course: Epochs and steps of each; ``EPOCHS`` and ``STEPS`` where none are given.
        """
        epochs, steps = course or (EPOCHS, STEPS)
        labels, weights = members.labels(clips), members.weights(clips)
        labels_of = (labels, labels, voice_deepfake.labels_of_copies(clips, labels))
        pictures = [self.features(clips, form) for form in range(len(self.forms))]

        def batches(epoch: int) -> Iterator[loop.Batch]:
            rng = np.random.default_rng((seed, epoch))
            for chosen in draw(weights, steps * BATCH, rng).reshape(steps, BATCH):
                frames, forms = int(rng.integers(*FRAMES)), rng.choice(len(pictures), BATCH, p=SHARES)
                drawn = list(zip(forms.tolist(), chosen.tolist(), strict=True))
                pieces = [piece(pictures[form][place], frames, rng) for form, place in drawn]
                inputs = {name: torch.from_numpy(value) for name, value in PROCESSOR.collate(pieces).items()}
                targets = np.array([labels_of[form][place] for form, place in drawn])
                yield loop.Batch(inputs, loop.one_hot(targets, network.CLASSES))

        torch.manual_seed(seed)
        settings = loop.Settings(epochs, steps, RATE, DECAY, seed=seed, ema_decay=0.99)
        trained = loop.Trainer(network.TextureCnn(), settings, loss).run(batches)
        assert isinstance(trained, network.TextureCnn)  # noqa: S101 - for the type checker
        return trained.eval()

    def answers(self, module: torch.nn.Module, clips: Sequence[Clip]) -> members.Logits:
        """Clip by clip, as they are of different lengths."""
        pictures = (np.asarray(picture, np.float32) for picture in self.features(clips))
        return np.concatenate([export.logits(module, PROCESSOR.collate([picture])) for picture in pictures])

    def write(self, module: torch.nn.Module, clips: Sequence[Clip], out: Path) -> None:
        """The networks."""
        assert isinstance(module, network.Ensemble)  # noqa: S101 - for the type checker
        module.save(out)

    def export(self, out: Path, clips: Sequence[Clip]) -> float:
        """Clip by clip."""
        batches = [PROCESSOR.collate([np.asarray(picture, np.float32)]) for picture in self.features(clips)]
        return export.save_torch(network.load_native(out), out, network.SHAPES, batches)


def trained_part(
    clips: Sequence[Clip], data: Path, kept: Path, course: tuple[int, int], seed: int, part: Split
) -> dict[str, NDArray[np.generic]]:
    """The values of a network that has learned from a part of clips; features are read anew, not sent over."""
    torch.set_num_threads(1)  # one order of sums, however many cores there are
    members.KEPT = kept
    recipe = DeepfakeCnn()
    recipe.clips(data)
    state = recipe.train([clips[place] for place in part.train], seed, course).state_dict()
    return {name: value.numpy() for name, value in state.items()}


def loss(module: torch.nn.Module, batch: loop.Batch) -> Tensor:
    """Cross-entropy; convolutions in bfloat16, which takes half of the time where a processor has it."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(**batch.inputs)
    return torch.nn.functional.cross_entropy(logits.float(), batch.targets, label_smoothing=SMOOTHING)


def piece(picture: Features, frames: int, rng: np.random.Generator) -> Features:
    """At most so many frames of a picture, from a random place; sometimes as a narrow channel passes them on."""
    start = int(rng.integers(0, max(1, len(picture) - frames + 1)))
    part = np.array(picture[start : start + frames], np.float32)
    if rng.random() < NARROW_SHARE:
        part[:, int(rng.integers(*NARROW)) :] = 0.0
    return part


RECIPE = DeepfakeCnn()

if __name__ == "__main__":
    members.main(RECIPE, __doc__)
