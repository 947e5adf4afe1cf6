"""What the rest of the bundle needs to know about a model, in one typed description; long recordings in its windows.

Every folder below ``models/`` that exports a ``SPEC`` is one model; ``models.registry`` collects them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AudioInput:
    """Mono audio, as a model takes it.

    Attributes:
        sample_rate: Samples per second (Hz).
        window_s: Longest piece that the model sees at once (seconds); longer audio is answered window by window.
        min_s: Shorter pieces are padded to this length by the processor (seconds).
    """

    sample_rate: int
    window_s: float
    min_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ImageInput:
    """A square RGB picture, as a model takes it.

    Attributes:
        size: Width and height (pixels).
    """

    size: int


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of the bundle.

    Attributes:
        name: Folder below ``models/``, name of the entry in the model store, label in metrics and logs.
        title: What a person calls it.
        runner: Name of the BentoML service in ``runners/`` that answers with it.
        classes: Class names in the order of the network's logits.
        input: What one item is.
        architecture: The network, in a few words.
        library: The library that the network is defined and trained in.
        description: One sentence on what is decided, from what.
        reference: The published checkpoint that takes the same place (hub id), if there is one.
        dataset: Folder of its data set below ``DATASETS_DIR``; the model's own name where none is given.
        measures: What the network measures beside the classes, in the order of the columns behind the logits.
        built_on: Folder below ``models/`` whose network and pre-processing it has; its own where none is given.
        licence: What the data that the bundled weights learned from allows, in a few words; the card has the rest.
        question: The question in words, where no task of its own asks it; the description where none is given.
        samples: Files of the model's folder ``samples`` (WAV, FLAC, MP3 or JPEG), each with its true class. The server
            gives them out under these names, so no other example may have the same.
    """

    name: str
    title: str
    runner: str
    classes: tuple[str, ...]
    input: AudioInput | ImageInput
    architecture: str
    library: str
    description: str
    reference: str | None = None
    dataset: str | None = None
    measures: tuple[str, ...] = ()
    built_on: str | None = None
    licence: str = ""
    question: str = ""
    samples: tuple[tuple[str, str], ...] = ()

    @property
    def home(self) -> str:
        """Package of its ``network`` and ``processing`` modules."""
        return f"models.{self.built_on or self.name}"


def is_of(spec: ModelSpec, tag: str) -> bool:
    """Whether an entry of the model store answers for a model, under whatever profile it was saved."""
    name = tag.partition(":")[0]
    return name == spec.name or name.startswith(f"{spec.name}-")


def split(samples: NDArray[np.float32], window: int) -> list[NDArray[np.float32]]:
    """Cuts a recording into the fewest pieces of nearly equal length that are no longer than a window.

    Equal pieces, because a short rest at the end would be answered with less to go by than everything else.

    Args:
        samples: float32 [n], at least one sample.
        window: Longest piece (samples).

    Returns:
        Views of ``samples``, in order, without overlap.
    """
    count = max(1, math.ceil(samples.size / window))
    return np.array_split(samples, count)


def average(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Joins the answers of a recording's windows: their mean, weighted by length.

    Args:
        rows: float64 [windows, classes], probabilities.
        weights: float64 [windows], lengths in any unit, not all zero.

    Returns:
        float64 [classes], summing to 1.
    """
    return np.asarray(np.average(rows, axis=0, weights=weights))


def average_without(
    rows: NDArray[np.float64], weights: NDArray[np.float64], ignored: int, least: float
) -> NDArray[np.float64]:
    """Joins the answers of a recording's windows, of which those of one class do not count.

    Args:
        rows: float64 [windows, classes], probabilities.
        weights: float64 [windows], lengths in any unit, not all zero.
        ignored: The class that says that there is nothing in a window.
        least: Share of the recording that the other windows need to make up; with less, all windows count.

    Returns:
        float64 [classes], summing to 1.
    """
    found = np.where(rows.argmax(axis=1) == ignored, 0.0, weights)
    return average(rows, found if found.sum() >= least * np.sum(weights) else weights)


def cost(spec: ModelSpec, item: NDArray[Any]) -> float:
    """What an item costs its runner: seconds of audio, or 1 for a picture."""
    if isinstance(spec.input, AudioInput):
        return float(max(item.shape[0] / spec.input.sample_rate, spec.input.min_s))
    return 1.0
