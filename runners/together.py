"""One process for several models (``RUNNERS_TOGETHER``): for small machines, and for one GPU.

A process that serves a model takes some 90 MB and about a second of processor time before the model is loaded. Models
in one process share these costs, the interpreter's lock, and the end of the process. Each still has its own methods in
the service, and with them its batcher, its streams, its queue in the API, its metrics and its probes.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import bentoml

from core import tracing
from core.resources import cores
from models.messages import InferenceResult, ServedModel
from models.spec import ModelSpec
from runners.base import LARGEST_BATCH, Answers, ModelRunner, service_options
from runners.lifetime import RunnerProcess


class ModelGroup(RunnerProcess):
    """Answers with several models; a subclass has the methods of each.

    Attributes:
        runners: The classes of their own runners, by model.
        title: Of the service.
    """

    runners: ClassVar[Mapping[str, type[ModelRunner]]]
    title: ClassVar[str]
    members: dict[str, ModelRunner]

    def __init__(self) -> None:
        tracing.start(self.title)
        with ThreadPoolExecutor(cores(), thread_name_prefix="open") as threads:
            opened = threads.map(lambda runner: runner(), self.runners.values())
            self.members = dict(zip(self.runners, opened, strict=True))


def together(title: str, specs: Mapping[str, ModelSpec], runners: Mapping[str, type[ModelRunner]]) -> Any:
    """Makes the service of several models.

    Args:
        title: Its name.
        specs: The models, by name.
        runners: The classes of their own runners.

    Returns:
        A BentoML service. Its methods are those of a model's own runner with the suffix of ``suffix``.
    """
    members: dict[str, Any] = {"title": title, "runners": runners, "__doc__": f"Answers with {', '.join(specs)}."}
    for name, runner in runners.items():
        members |= {f"stored_{name}": runner.stored}  # BentoML takes the models of a bento from such attributes
        members |= {method.__name__: bentoml.api(**options)(method) for method, options in _methods(name)}
    return bentoml.service(**service_options(*specs.values(), name=title))(type(title, (ModelGroup,), members))


def suffix(name: str) -> str:
    """What a model's methods in a group end in."""
    return f"_{name}"


def _methods(name: str) -> list[tuple[Any, dict[str, Any]]]:
    """The methods of a model, with what BentoML is to know of each."""

    def predict(self: ModelGroup, requests: list[Any]) -> Answers:
        answers: list[InferenceResult] = self.members[name].predict(requests)
        return answers

    async def served(self: ModelGroup) -> ServedModel:
        found: ServedModel = await self.members[name].served()
        return found

    for method in (predict, served):
        method.__name__ += suffix(name)
    return [(predict, {"batchable": True, "max_batch_size": LARGEST_BATCH}), (served, {})]
