"""Which class of the bundle a publisher's label counts for: by its name, never by its place.

Publishers order their labels differently (one says 0 = female, another 0 = male). A name that is not known stops the
import rather than being guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from models.published.checkpoint import CheckpointError
from models.spec import ModelSpec
from training.published import audioset

_GENDER = {
    "female": ("female", "f", "woman", "women", "femalevoice", "femalespeaker"),
    "male": ("male", "m", "man", "men", "malevoice", "malespeaker"),
}
# For each model, what others call its classes: lower case, letters and digits only.
SYNONYMS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "voice_gender": _GENDER,
    "face_gender": _GENDER,
    "deepfake_encoder": {
        "HUMAN": ("human", "humanvoice", "real", "bonafide", "genuine", "authentic", "original", "natural"),
        "AI_GENERATED": (
            "aigenerated", "ai", "aivoice", "fake", "spoof", "spoofed", "deepfake", "synthetic", "synthesized",
            "synthesised", "generated", "artificial", "machine",
        ),
    },
    "audio_scene": {
        "speech": ("speech", "voice"), "music": ("music",), "noise": ("noise",), "silence": ("silence", "quiet"),
    },
}  # fmt: skip


def plain(name: str) -> str:
    """A label in lower case, letters and digits only: ``Bona-fide`` and ``bonafide`` are the same."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def mapped(spec: ModelSpec, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Each label with the class it counts for, in the publisher's order.

    Args:
        spec: The model whose place is taken.
        names: The publisher's labels, in the order of the network's outputs.

    Raises:
        CheckpointError: A name is not known, which the message lists, or a class has no label.
    """
    known = {plain(word): cls for cls, words in SYNONYMS.get(spec.name, {}).items() for word in words}
    if spec.name == "audio_scene":
        known = {plain(label): cls for label, cls in audioset.TABLE} | known
    if unknown := [name for name in names if plain(name) not in known]:
        listed = ", ".join(repr(name) for name in unknown[:20]) + (", ..." if len(unknown) > 20 else "")
        wanted = " or ".join(f"{cls} ({', '.join(words)})" for cls, words in SYNONYMS.get(spec.name, {}).items())
        raise CheckpointError(f"unknown labels: {listed}; known are {wanted}")
    pairs = tuple((name, known[plain(name)]) for name in names)
    if missing := [cls for cls in spec.classes if cls not in {cls for _, cls in pairs}]:
        raise CheckpointError(f"no label stands for {', '.join(missing)}; the labels are {', '.join(names)}")
    return pairs


def are_independent(names: Sequence[str]) -> bool:
    """Whether labels do not exclude each other, as AudioSet's do: a network answers each with a probability."""
    labels = {plain(label) for label, _ in audioset.TABLE}
    return len(names) > len(SYNONYMS["audio_scene"]) and {plain(name) for name in names} <= labels
