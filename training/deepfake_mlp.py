"""Human or AI-generated speech, the acoustic features' member: ``python -m training.deepfake_mlp`` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.calibration import Calibration
from models.deepfake_mlp import SPEC, network
from models.deepfake_mlp.processing import PROCESSOR
from training import export, human_speech, voice_deepfake
from training.data.datasets import Clip, draw
from training.evaluation.folds import Split
from training.fitting import loop, members

EPOCHS, STEPS, BATCH = 12, 25, 64  # clips of each copy of the network
RATE, DECAY, SMOOTHING = 5e-3, 0.05, 0.05
CHECKED = 32  # clips at once, where the compiled form is compared with the native one
MIXUP = 0.4  # both parameters of the beta distribution of the shares


class DeepfakeMlp(members.Member):
    """The recipe."""

    spec = SPEC
    processor = PROCESSOR

    def train(self, clips: Sequence[Clip]) -> network.FeatureNetwork:
        """Copies of the network side by side, each on other clips: mixed in pairs, noisy, with gaps."""
        torch.manual_seed(0)
        module = network.FeatureNetwork(network.Config())
        values = torch.from_numpy(np.concatenate(self.features(clips)))
        module.fit_scaling(values)
        values, config = module.standardise(values), module.config
        labels, weights = members.labels(clips), members.weights(clips)

        def batches(epoch: int) -> Iterator[loop.Batch]:
            rng = np.random.default_rng(epoch)
            for _ in range(STEPS):
                chosen = draw(weights, config.copies * BATCH, rng)
                inputs = values[chosen].reshape(config.copies, BATCH, -1)
                targets = loop.one_hot(labels[chosen], len(SPEC.classes)).reshape(config.copies, BATCH, -1)
                share = torch.from_numpy(rng.beta(MIXUP, MIXUP, (config.copies, BATCH, 1))).float()
                partner = torch.from_numpy(rng.permutation(BATCH))
                inputs = share * inputs + (1 - share) * inputs[:, partner]
                targets = share * targets + (1 - share) * targets[:, partner]
                inputs = inputs + config.noise * torch.randn_like(inputs)
                yield loop.Batch({"values": inputs * (torch.rand_like(inputs) > config.input_dropout)}, targets)

        settings = loop.Settings(EPOCHS, STEPS, RATE, DECAY, ema_decay=0.99, max_norm=1e9)
        trained = loop.Trainer(module, settings, loss).run(batches)
        assert isinstance(trained, network.FeatureNetwork)  # noqa: S101 - for the type checker
        return trained.eval()

    def fitted(self, clips: Sequence[Clip]) -> tuple[network.FeatureNetwork, Calibration]:
        """Calibrated by networks that have not met a quarter of the pages, nor their speakers and synthesisers."""

        def of(part: Split) -> network.FeatureNetwork:
            return self.train([clips[place] for place in part.train])

        logits = members.unmet(of, self, clips, voice_deepfake.unseen(clips, voice_deepfake.NETWORKS))
        return self.train(clips), members.calibrated(logits, clips)

    def answers(self, module: torch.nn.Module, clips: Sequence[Clip]) -> members.Logits:
        """All copies: they are small."""
        return export.logits(module, {network.INPUT: np.concatenate(self.features(clips))})

    def write(self, module: torch.nn.Module, clips: Sequence[Clip], out: Path) -> None:
        """The network, and what human speech is like for the explanations."""
        assert isinstance(module, network.FeatureNetwork)  # noqa: S101 - for the type checker
        network.save(module, out)
        rows, generated = np.concatenate(self.features(clips)), members.labels(clips) == members.AI
        human_speech.write(rows[~generated], rows[generated], out)

    def export(self, out: Path, clips: Sequence[Clip]) -> float:
        """In batches."""
        features = np.concatenate(self.features(clips))
        batches = [{network.INPUT: features[start : start + CHECKED]} for start in range(0, len(features), CHECKED)]
        return export.save_torch(network.load_native(out), out, network.SHAPES, batches)


def loss(module: torch.nn.Module, batch: loop.Batch) -> Tensor:
    """Cross-entropy of every copy, summed over copies so that each trains as if alone."""
    assert isinstance(module, network.FeatureNetwork)  # noqa: S101 - for the type checker
    logits, targets = module.opinions(batch.inputs["values"]).flatten(0, 1), batch.targets.flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, targets, label_smoothing=SMOOTHING) * module.config.copies


RECIPE = DeepfakeMlp()

if __name__ == "__main__":
    members.main(RECIPE, __doc__)
