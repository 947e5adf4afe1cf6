"""What the rest of the bundle needs to know about a model, in one typed description.

Every folder below ``models/`` that exports a ``SPEC`` is one model; ``models.registry`` collects them.
"""

from __future__ import annotations

from dataclasses import dataclass


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
        licence: What the data that the bundled weights learned from allows, in a few words; the card has the rest.
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
    licence: str = ""


def is_of(spec: ModelSpec, tag: str) -> bool:
    """Whether an entry of the model store answers for a model, under whatever profile it was saved."""
    name = tag.partition(":")[0]
    return name == spec.name or name.startswith(f"{spec.name}-")
