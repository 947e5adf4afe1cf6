"""One BentoML service for each model."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from core import metrics
from models import registry


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


async def _metrics(_: Request) -> PlainTextResponse:
    """What Prometheus asks a runner that is in a container, or on a host, of its own.

    BentoML has such a page, with metrics of its own: a probe that comes while the runner starts registers these twice,
    and every request fails from then on (BentoML 1.4.39).
    """
    return PlainTextResponse(await run_in_threadpool(metrics.exposition), media_type=CONTENT_TYPE_LATEST)


_PAGES = Starlette(routes=[Route("/metrics", _metrics)])
