"""The one list of models: every folder below ``models/`` that exports a ``SPEC``."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import pkgutil
import shutil
import tempfile
from pathlib import Path

from models import completion, encoder
from models.processing import Processor
from models.spec import ModelSpec

_ROOT = Path(__file__).parent


def _completed() -> Path:
    """Where entries are put together: beside the source tree, or where this user's caches lie when it is installed."""
    if (_ROOT.parent / "pyproject.toml").exists():
        return _ROOT.parent / "build" / "complete"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediaclassify"


COMPLETED = _completed()


@functools.cache
def specs() -> dict[str, ModelSpec]:
    """All models by name, in alphabetical order."""
    found: dict[str, ModelSpec] = {}
    for module in pkgutil.iter_modules([str(_ROOT)]):
        if module.ispkg:
            spec = getattr(importlib.import_module(f"models.{module.name}"), "SPEC", None)
            if isinstance(spec, ModelSpec):
                found[spec.name] = spec
    return found


def processor(name: str) -> Processor:
    """The pre-processing of a model.

    Raises:
        KeyError: There is no such model.
    """
    result: Processor = importlib.import_module(f"{specs()[name].home}.processing").PROCESSOR
    return result


def weights(name: str) -> Path:
    """The folder of the bundled weights of a model, as it lies in the source tree."""
    return _ROOT / name / "weights"


@functools.cache
def samples() -> dict[str, Path]:
    """The samples that models bring with them, by the names under which they are given out."""
    return {file: _ROOT / name / "samples" / file for name, spec in specs().items() for file, _ in spec.samples}


def complete(name: str) -> Path:
    """The bundled weights with all files of a store entry.

    Where git has some of them elsewhere, the folder is made in ``COMPLETED`` when it is first asked for, and again when
    a file of the source tree has changed.
    """
    folder = weights(name)
    if completion.is_whole(folder):
        return folder
    content = hashlib.sha256()
    for path in (*sorted(folder.rglob("*")), *sorted(encoder.WEIGHTS.rglob("*"))):
        content.update(path.read_bytes() if path.is_file() else b"")
    made = COMPLETED / f"{name}-{content.hexdigest()[:16]}"
    if not made.exists():
        COMPLETED.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=COMPLETED) as place:
            part = Path(place) / "entry"
            shutil.copytree(folder, part)
            completion.complete(part)
            with contextlib.suppress(OSError):  # another process was first
                part.rename(made)
    return made
