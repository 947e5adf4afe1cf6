"""Golden probabilities: what each bundled model says of each bundled sample, ``python -m tests.support.golden``.

The command writes ``tests/data/golden.json`` from the compiled engine in float32: run it where weights, or the work
before or after a network, are meant to change what is answered. ``tests/unit/models/test_golden.py`` compares.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.errors import ServiceError
from core.settings import Settings
from engine.predictor import Predictor
from media.audio import AudioLimits, DecodedAudio
from models import registry
from models.spec import AudioInput, ImageInput, ModelSpec
from tasks.base import DetectedFace, follow
from tasks.heart_sound import MODEL as HEART_SOUND
from tasks.heart_sound import pcm_reader
from training.data.datasets import Clip
from training.evaluation import answers

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden.json"
FOLDERS = ("tests/data", "media/assets/examples", "api/ui/examples")
SOUNDS = (".flac", ".mp3", ".ogg", ".wav")
PICTURES = (".jpg",)
PCM = ".pcm"  # the heart sound route alone takes it
DIGITS = 6  # of what is kept

Outcome = dict[str, float] | str  # probabilities by class, or the kind of the refusal


def samples() -> list[Path]:
    """The bundled samples, each content once."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (*SOUNDS, *PICTURES, PCM):
                found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path)
    return sorted(found.values())


def is_input(spec: ModelSpec, path: Path) -> bool:
    """Whether a model can be asked about a sample at all."""
    if path.suffix == PCM:
        return spec.name == HEART_SOUND
    return path.suffix in (PICTURES if isinstance(spec.input, ImageInput) else SOUNDS)


def answer(predictor: Predictor, path: Path) -> Outcome:
    """What a model says of one sample, the way of a request."""
    spec = predictor.spec
    try:
        steps = answers.steps(spec, _read(spec, path))
        found = follow(steps, {spec.name: spec}, lambda _, windows: predictor.answer(windows))
    except ServiceError as error:
        return type(error).__name__
    return {name: round(value, DIGITS) for name, value in found.probabilities.items()}


def answers_of(name: str, settings: Settings) -> dict[str, Outcome]:
    """What a bundled model says of all samples that it can be asked about, by their paths in the repository."""
    predictor = Predictor.bundled(name, settings)
    paths = [path for path in samples() if is_input(predictor.spec, path)]
    return {path.relative_to(ROOT).as_posix(): answer(predictor, path) for path in paths}


def moved(new: Mapping[str, Outcome], old: Mapping[str, Outcome], tolerance: float) -> Iterator[str]:
    """Where two sets of answers of a model differ by more than a tolerance, a line for each sample."""
    for path in sorted({*new, *old}):
        one, other = new.get(path), old.get(path)
        if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
            difference = max(abs(one[name] - other[name]) for name in one)
            if not difference <= tolerance:  # nan as well
                yield f"{path}: moved by {difference:.2g}: {one}, golden {other}"
        elif one != other:
            yield f"{path}: {one}, golden {other}"


def main(names: Sequence[str] = ()) -> int:
    """Writes the answers of the named models; those of all models where none is named.

    Returns:
        The exit status.
    """
    golden: dict[str, dict[str, Outcome]] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for name in names or registry.specs():
        found = answers_of(name, Settings(engine="compiled", precision="f32"))
        print("\n".join(moved(found, golden.get(name, {}), 0.0)), file=sys.stderr)
        golden[name] = found
    known = {name: golden[name] for name in registry.specs()}
    GOLDEN.write_text(json.dumps(known, indent=1) + "\n")
    return 0


def _read(spec: ModelSpec, path: Path) -> DecodedAudio | DetectedFace:
    if path.suffix == PCM and isinstance(spec.input, AudioInput):
        read = pcm_reader(answers.HEART_FORMAT, answers.AMPLIFICATION)
        return read(path.read_bytes(), AudioLimits(), spec.input.sample_rate)
    return answers.load(Clip(path, spec.classes[0], "", {}), spec)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
