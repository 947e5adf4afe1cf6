"""The groups whose figures are given apart: people, languages, sources, systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models import registry
from training.data.datasets import Clip

ENSEMBLE = "voice_deepfake"
ENSEMBLE_RECIPE = "ensemble"  # its name in ``left_out.json``, where ``ENSEMBLE`` is the recipe of its first member
DATASETS = {name: spec.dataset or name for name, spec in registry.specs().items()} | {ENSEMBLE: ENSEMBLE}
CLASSIC = ("copysyn", "espeak", "festival", "flite")  # synthesisers that are not neural
LANGUAGES = {"en": "English", "hi": "Hindi", "ml": "Malayalam", "ta": "Tamil", "te": "Telugu"}
AGE_BANDS = ((3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 116))  # years, both ends in
TARGET_AGES = (20, 69)

Key = Callable[[Clip], str]


def groupings(name: str, train: Sequence[Clip]) -> dict[str, Key]:
    """How the clips of a model's data set are sorted into groups.

    Args:
        name: The model, or the ensemble.
        train: The training part, which tells the systems that training has met from those that it has not.

    Returns:
        By title, what gives a clip its group.
    """
    if name == "face_gender":
        return {"ages": _target_ages, "age": _age_band, "ethnicity": lambda clip: clip.fields["ethnicity"]}
    if DATASETS[name] == "voice_deepfake":
        seen = {clip.fields["system"] for clip in train}
        return {"system": system_kind(seen), "language": lambda clip: LANGUAGES[clip.fields["language"]]}
    return {"source": lambda clip: clip.fields.get("source", "not stated")}


def system_kind(seen: set[str]) -> Key:
    """Names what spoke: a person, or a kind of synthesiser, known from training or not."""

    def kind(clip: Clip) -> str:
        system = clip.fields["system"]
        if system == "human":
            return "human"
        family = "classic" if system.startswith(CLASSIC) else "neural"
        return f"{family}, {'seen' if system in seen else 'unseen'} in training"

    return kind


def _target_ages(clip: Clip) -> str:
    """Whether a face is of the ages that the first target names."""
    low, high = TARGET_AGES
    return f"{low} to {high}" if low <= int(clip.fields["age"]) <= high else "others"


def _age_band(clip: Clip) -> str:
    age = int(clip.fields["age"])
    low, high = next(band for band in AGE_BANDS if band[0] <= age <= band[1])
    return f"{low} to {high}"
