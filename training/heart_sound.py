"""The heart sound model from data to weights: ``python -m training.heart_sound``.

The recorder must not give the class away: each of the public sets has its own stethoscope or phone and its own classes.
So every recording of both data sets is learned as many pretended recorders, rooms and hearts would have given it, and
what is no heart sound at all (speech, music, noise, tones) is learned as ``Artifact``.

Fixed seeds, one thread and float32 make the same bytes again on the same machine, in about seven minutes on one core.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.calibration import Calibration
from models.heart_sound import SPEC, network
from models.heart_sound.processing import BANDS, PROCESSOR, SAMPLE_RATE, spectrogram, unit_level
from models.heart_sound.silence import without_silence
from models.processing import Features
from training import export as compiled
from training.data import datasets
from training.data.datasets import Clip, balanced_weights, class_indices, datasets_dir, load_audio, read_manifest
from training.evaluation.folds import Split, by_group, leave_out
from training.fitting import command
from training.fitting.history import History
from training.heart_changes import TONES, change, tones
from training.protocol import Predict, Rows

SETS = ("heart_sounds", "heart_sounds_more")
OTHER_SOUNDS = "audio_scenes"  # speech, music, noise and silence: nothing in them beats
EVERY_OTHER_SOUND = 4  # one in four of them is learned
NO_FORMAL_LICENCE = "PASCAL"  # sources whose terms were never written down: the figures are given without them too
NO_BEAT = "no heart beat"  # ``source`` of what is no heart sound

COPIES = 12  # changed copies of each recording
STEPS, BATCH = 1200, 64
MEASURED = 1  # networks in the protocol, which makes eleven models: half the time that as many as are served would take
FRAMES = 256  # of a training piece: 5.1 s
RATE, DECAY = 4e-3, 1e-2  # AdamW: highest learning rate, weight decay
BALANCE = 0.5  # of the classes: 0 as in the data, 1 all alike
SMOOTHING = 0.05  # of the labels

# Chosen by the left-out figures (``training.protocol``): how far rare classes are favoured (logit adjustment, Menon et
# al., ICLR 2021: this power of the class frequencies), and the temperature with the least cross-entropy.
FAVOUR = 0.1
TEMPERATURE = 0.95

Picture = NDArray[np.floating[Any]]  # a spectrogram [frames, BANDS]; copies are kept in half precision


class HeartSound:
    """The recipe, as ``training.protocol`` measures it."""

    classes = SPEC.classes

    def clips(self, data: Path) -> list[Clip]:
        """Both parts of both sets, then the other sounds."""
        return [clip for part in ("train", "val") for clip in labelled(data, part)]

    def schemes(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[Split]]:
        """By recorder, by patient, and a half of the other sounds, which are learned whenever hearts are left out."""
        sources = np.array([clip.fields["source"] for clip in clips])
        hearts, others = np.flatnonzero(sources != NO_BEAT), np.flatnonzero(sources == NO_BEAT)
        chosen = [clips[place] for place in hearts.tolist()]

        def whole(split: Split) -> Split:
            return Split(np.concatenate((hearts[split.train], others)), hearts[split.test], split.name)

        groups = [clip.group for clip in chosen]
        held = others[[zlib.crc32(clips[place].group.encode()) % 2 == 0 for place in others.tolist()]]
        recorders = [whole(split) for split in leave_out([recorder(clip) for clip in chosen], groups)]
        named = np.array([not clip.fields["source"].startswith(NO_FORMAL_LICENCE) for clip in clips])
        return {
            "recorders left out": recorders,
            "recorders left out; without PASCAL's": [
                dataclasses.replace(split, train=split.train[named[split.train]]) for split in recorders
            ],
            "patients left out": [whole(split) for split in by_group([clip.label for clip in chosen], groups)],
            "other sounds left out": [Split(np.setdiff1d(np.arange(len(clips)), held), held, NO_BEAT)],
        }

    def groupings(self, clips: Sequence[Clip]) -> Mapping[str, Sequence[str]]:
        """Source, and class within it, since a class of a source is what a recorder gives away."""
        sources = [clip.fields["source"] for clip in clips]
        pairs = [f"{source}: {clip.label}" for source, clip in zip(sources, clips, strict=True)]
        return {"source": sources, "class of a source": pairs}

    def fit(self, clips: Sequence[Clip]) -> Predict:
        """Trains on clips."""
        ensemble, calibration = train(clips, STEPS, COPIES, MEASURED)[0], calibrate(clips)

        def predict(others: Sequence[Clip]) -> Rows:
            return np.concatenate([calibration.probabilities(logits(ensemble, clip.path)) for clip in others]).astype(
                np.float64
            )

        return predict


RECIPE = HeartSound()


def labelled(data: Path, part: datasets.Split) -> list[Clip]:
    """The recordings of a part, and every fourth clip of other sounds as artefacts."""
    hearts = [clip for name in SETS for clip in read_manifest(data / name, part)]
    others = read_manifest(data / OTHER_SOUNDS, part)[::EVERY_OTHER_SOUND]
    return hearts + [
        dataclasses.replace(clip, label="artifact", fields={**clip.fields, "source": NO_BEAT}) for clip in others
    ]


def recorder(clip: Clip) -> str:
    """What is left out together: a source; the four of PhysioNet with healthy subjects only are one."""
    source = clip.fields["source"]
    return "PhysioNet/CinC 2016 training-a, d, e, f" if source[-2:] in {"-a", "-d", "-e", "-f"} else source


def calibrate(clips: Sequence[Clip]) -> Calibration:
    """The chosen temperature and, for each class, minus the chosen power of its frequency."""
    hearts = [clip for clip in clips if clip.fields["source"] != NO_BEAT]
    counts = np.bincount(class_indices(hearts, SPEC.classes), minlength=network.CLASSES)
    rarity = -np.log(np.maximum(counts, 1) / len(hearts))
    bias = FAVOUR * (rarity - rarity.mean()) / TEMPERATURE
    return Calibration(TEMPERATURE, tuple(float(value) for value in bias))


def train(
    clips: Sequence[Clip], steps: int, copies: int, members: int = network.MEMBERS
) -> tuple[network.Ensemble, dict[str, list[dict[str, float]]]]:
    """Trains the members one after the other, each from other random numbers, on one thread.

    Returns:
        The ensemble, in evaluation mode, and the course of each member's training.
    """
    torch.set_num_threads(1)  # sums in one order, so that a second run makes the same bytes
    pictures: list[Sequence[Picture]] = [clip_copies(clip.path, copies) for clip in clips]
    pictures += [[spectrogram(sound)] for sound in tones()]
    kinds = [clip.label if clip.fields["source"] != NO_BEAT else NO_BEAT for clip in clips] + [NO_BEAT] * TONES
    artefact = SPEC.classes.index("Artifact")
    labels = np.concatenate((class_indices(clips, SPEC.classes), np.full(TONES, artefact)))
    weights = balanced_weights(kinds, powers=(BALANCE,))
    ensemble = network.Ensemble(members)
    courses = {}
    for seed, member in enumerate(ensemble.members):
        torch.manual_seed(seed)
        fresh = network.Member()
        courses[f"network {seed + 1}"] = _train(fresh, pictures, labels, weights, steps, np.random.default_rng(seed))
        member.load_state_dict(fresh.state_dict())
    return ensemble.eval(), courses


def _train(
    member: nn.Module,
    pictures: Sequence[Sequence[Picture]],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    steps: int,
    rng: np.random.Generator,
) -> list[dict[str, float]]:
    """One member; returns the mean loss of each tenth of the training."""
    optimiser = torch.optim.AdamW(member.parameters(), lr=RATE / 2, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    losses = []
    # Channels last makes convolutions a fifth faster.
    member.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for _ in range(steps):
        chosen = rng.choice(len(labels), BATCH, p=weights)
        pieces = [_piece(pictures[i][int(rng.integers(len(pictures[i])))], rng) for i in chosen.tolist()]
        spectrograms, masks, targets = _mixed(pieces, labels[chosen], rng)
        loss = nn.functional.cross_entropy(member(spectrograms, masks), targets, label_smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    tenths = np.array_split(np.array(losses), 10)
    return [{"epoch": place + 1, "loss": float(np.mean(tenth))} for place, tenth in enumerate(tenths)]


def _piece(picture: Picture, rng: np.random.Generator) -> Features:
    """A random piece of ``FRAMES`` frames, with gaps in time and bands (SpecAugment)."""
    start = int(rng.integers(0, max(1, len(picture) - FRAMES + 1)))
    piece = picture[start : start + FRAMES].astype(np.float32)
    for axis, widest in ((0, 25), (1, 8)):
        width = int(rng.integers(0, widest))
        first = int(rng.integers(0, max(1, piece.shape[axis] - width)))
        piece[(slice(None),) * axis + (slice(first, first + width),)] = 0
    return piece


def _mixed(
    pieces: Sequence[Features], labels: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of one length, half of the time mixed in pairs (mixup): spectrograms, masks and targets."""
    spectrograms, masks = torch.zeros(len(pieces), FRAMES, BANDS), torch.zeros(len(pieces), FRAMES)
    for place, piece in enumerate(pieces):
        spectrograms[place, : len(piece)] = torch.from_numpy(piece)
        masks[place, : len(piece)] = 1
    targets = nn.functional.one_hot(torch.from_numpy(labels), network.CLASSES).float()
    if rng.random() < 0.5:
        order, share = torch.from_numpy(rng.permutation(len(pieces))), float(rng.beta(0.4, 0.4))
        spectrograms = share * spectrograms + (1 - share) * spectrograms[order]
        targets = share * targets + (1 - share) * targets[order]
        masks = torch.maximum(masks, masks[order])
    return spectrograms, masks, targets


@functools.cache
def clip_copies(path: Path, copies: int) -> list[NDArray[np.float16]]:
    """Spectrograms of a recording as it is and of changed copies, float16 [frames, BANDS] each."""
    audio = load_audio(path, SAMPLE_RATE)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    sounds = [unit_level(audio), *(change(audio, rng) for _ in range(copies))]
    return [spectrogram(sound).astype(np.float16) for sound in sounds]


@torch.inference_mode()
def logits(ensemble: network.Ensemble, path: Path) -> NDArray[np.float32]:
    """Answer for a whole recording, prepared as while serving, float32 [1, classes]."""
    audio = without_silence(load_audio(path, SAMPLE_RATE), SAMPLE_RATE)
    batch = PROCESSOR.collate([PROCESSOR.prepare(audio).features])
    return np.asarray(ensemble(**{name: torch.from_numpy(value) for name, value in batch.items()}).numpy(), np.float32)


def export(weights: Path, clips: Sequence[Clip]) -> float:
    """Writes the compiled form of a weights folder beside the native one, checked on clips.

    Returns:
        The largest difference of a probability.
    """
    checked = [PROCESSOR.prepare(load_audio(clip.path, SAMPLE_RATE)).features for clip in clips]
    batches = [PROCESSOR.collate(checked[start : start + 6]) for start in range(0, len(checked), 6)]
    return compiled.save_torch(network.load_native(weights), weights, network.SHAPES, batches)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains on the training parts, and writes native and compiled weights."""
    parser = command.parser(SPEC.name, __doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="batches of each network (%(default)s)")
    parser.add_argument("--copies", type=int, default=COPIES, help="changed copies of each recording (%(default)s)")
    options = parser.parse_args(arguments)
    data = datasets_dir(options.data)
    clips = labelled(data, "train")
    ensemble, courses = train(clips, options.steps, options.copies)
    ensemble.save(options.out)
    History({"steps": options.steps, "copies": options.copies}, dict(courses)).save(options.out)
    calibrate(clips).save(options.out)
    print(f"largest difference of a probability, compiled against native: {export(options.out, clips[:60]):.5f}")


if __name__ == "__main__":
    main()
