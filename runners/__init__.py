"""One BentoML service for each model, or for several of them together."""

from __future__ import annotations

import functools
import importlib
from typing import Any, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from core import metrics
from core.settings import get_settings
from models import registry
from runners.together import suffix, together


@functools.cache
def all_runners() -> dict[str, Any]:
    """The BentoML services by the name of their model: ``runners/<name>.py`` for every model of the registry.

    Raises:
        ModuleNotFoundError: A model has no runner.
        AttributeError: A runner is not called what the model's ``SPEC`` says.
    """
    modules = {name: importlib.import_module(f"runners.{name}") for name in registry.specs()}
    runners = {name: getattr(modules[name], spec.runner) for name, spec in registry.specs().items()}
    for runner in runners.values():
        runner.mount_asgi_app(_PAGES, path="/")
    return runners


class Place(NamedTuple):
    """Where a model is asked.

    Attributes:
        service: The BentoML service that answers with it.
        suffix: What its methods there end in.
    """

    service: Any
    suffix: str = ""


@functools.cache
def places() -> dict[str, Place]:
    """The place of each model: its own runner, or that of the group in which ``RUNNERS_TOGETHER`` names it."""
    found = {name: Place(runner) for name, runner in all_runners().items()}
    for number, group in enumerate(groups(), 1):
        runners = {name: found[name].service.inner for name in group}
        service = together(f"ModelGroup{number}", {name: registry.specs()[name] for name in group}, runners)
        service.mount_asgi_app(_PAGES, path="/")
        found |= {name: Place(service, suffix(name)) for name in group}
    return found


def groups() -> list[tuple[str, ...]]:
    """The models that share a process, by ``RUNNERS_TOGETHER``; a model alone is no group."""
    named = get_settings().runners_together
    wanted = [tuple(registry.specs())] if named == (("all",),) else named
    return [group for group in wanted if len(group) > 1]


async def _metrics(_: Request) -> PlainTextResponse:
    """What Prometheus asks a runner that is in a container, or on a host, of its own.

    BentoML has such a page, with metrics of its own: a probe that comes while the runner starts registers these twice,
    and every request fails from then on (BentoML 1.4.39).
    """
    return PlainTextResponse(await run_in_threadpool(metrics.exposition), media_type=CONTENT_TYPE_LATEST)


_PAGES = Starlette(routes=[Route("/metrics", _metrics)])
