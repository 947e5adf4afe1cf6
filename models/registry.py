"""The one list of models: every folder below ``models/`` that exports a ``SPEC``."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path

from models.processing import Processor
from models.spec import ModelSpec

_ROOT = Path(__file__).parent


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
        ModuleNotFoundError: There is no such model.
    """
    result: Processor = importlib.import_module(f"models.{name}.processing").PROCESSOR
    return result


def weights(name: str) -> Path:
    """The folder of the bundled weights of a model, as it lies in the source tree."""
    return _ROOT / name / "weights"
