"""Descriptions of the models for ``/v1/models``."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import Any

from api.ui.cards import card_address
from api.v1.schemas import FigureSet, Measured, ModelDescription, ModelInput
from core.errors import ServiceError
from core.settings import Settings
from models import registry
from models.spec import AudioInput, ModelSpec
from scheduling.queue import Model
from tasks.questions import questions

FIGURES = "figures.json"  # beside the card; ``training.evaluation.published_figures`` writes it


async def describe(model: Model, settings: Settings) -> ModelDescription:
    """One model as it is served; of other weights than the bundled ones neither licence nor figures are known."""
    with contextlib.suppress(ServiceError):  # its runner is down: what it served last is what is known
        await model.client.served()
    spec, served = model.spec, model.client.known
    is_bundled = served is None or served.tag.partition(":")[0] == spec.name
    return ModelDescription(
        name=spec.name,
        title=spec.title,
        description=spec.description,
        tag=served.tag if served else None,
        questions=[question.name for question in questions().values() if spec.name in question.models],
        classes=list(spec.classes),
        input=_input(spec),
        licence=spec.licence if is_bundled else "",
        figures={name: _figures(one) for name, one in _measured(spec.name).items()} if is_bundled else {},
        card=card_address(spec, served.tag) if served and settings.playground else None,
    )


def _input(spec: ModelSpec) -> ModelInput:
    if isinstance(spec.input, AudioInput):
        return ModelInput(kind="audio", sample_rate=spec.input.sample_rate, window=spec.input.window_s)
    return ModelInput(kind="image", size=spec.input.size)


@functools.cache
def _measured(name: str) -> dict[str, Any]:
    path = registry.weights(name).parent / FIGURES
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _figures(found: dict[str, Any]) -> FigureSet:
    measures = {
        name: Measured(value=value, low=found[f"{name}_95"][0], high=found[f"{name}_95"][1])
        for name, value in found.items()
        if f"{name}_95" in found
    }
    return FigureSet(clips=found["clips"], measures=measures)
