"""The service: composes the runners and carries the public surface.

``bentoml serve`` runs this file: one process for the HTTP API, one or more for each runner. Every one of them imports
it, so what only the API needs (routes, decoders, clients) is loaded where it is used.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from typing import TYPE_CHECKING, Any

import bentoml

from api.auth import Keys
from api.methods import TypedMethods
from api.middleware.cors import Cors
from api.middleware.dispatch import Dispatch
from api.middleware.limits import Limits
from api.middleware.observe import Observe
from core import fork_server, left_out, logs, metrics, supervisor, tracing
from core.memory import Budget
from core.settings import get_settings
from core.version import VERSION
from runners import places
from runners.configuration import check, preloaded, try_data_dir
from runners.lifetime import API

if TYPE_CHECKING:
    from fastapi import FastAPI

supervisor.hand_on()
settings = get_settings()
check(settings)
supervisor.look_often()
fork_server.install(preloaded(settings))
logs.configure(settings.log_dir, settings.log_level)
supervisor.warn_of_misspelt()
# The supervisor imports this file, and its processes inherit what is set here before they load NumPy. In each of them
# OpenBLAS would otherwise have a thread for every core, and for matrices as small as those here these cost two to five
# times the processor time of one. The networks have threads of their own (``engine``).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# This comes after that variable is set, because BentoML's server loads NumPy. It comes before OpenVINO is loaded, which
# would look for its converter.
if left_out.is_worker():
    left_out.leave_out()
if "uvicorn" in sys.modules:  # BentoML's workers load it before this file, its supervisor never
    from api import connections

    connections.install(settings.head_timeout_s, settings.keep_alive_s)


@functools.cache
def http_app() -> FastAPI:
    """The HTTP application of this process."""
    from api.app import build_app

    return build_app()


# One dependency for each runner, under the runner's name.
_services = {place.service.name: place.service for place in places().values()}
Runners = type("Runners", (), {name: bentoml.depends(service) for name, service in _services.items()})


@bentoml.service(
    name=API,
    workers=settings.api_workers,
    http={"host": settings.host, "port": settings.port},
    # ``api.middleware.limits`` bounds every request in the contract's shape; this is for what it cannot reach.
    traffic={"timeout": settings.request_timeout_s + 30},
    # BentoML's probe hangs for the whole timeout when a runner is down; ``/readyz`` asks the runners itself.
    runner_probe={"enabled": False},
    # Its metrics make a series of every path that is requested; ``core.metrics`` counts by route.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing=tracing.OFF_IN_BENTOML,
)
class MediaClassifier(TypedMethods, Runners):  # type: ignore[misc, valid-type]  # the base is made above
    """Answers five questions about voices, faces, heart sounds and audio."""

    def __init__(self) -> None:
        from api.answers import Answers
        from runners.assembly import assemble

        try_data_dir(settings)
        metrics.start_api(VERSION)
        tracing.start(API)
        proxies = {name: getattr(self, place.service.name) for name, place in places().items()}
        self.answers = Answers(assemble(settings, proxies))
        http_app().state.answers = self.answers
        if settings.key_store:
            from api.guard import Guard

            http_app().state.guard = Guard(settings)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close(self) -> None:
        """Closes connections and files, and exports the spans that are left."""
        await self.answers.context.close()
        if settings.key_store:
            await http_app().state.guard.aclose()
        await asyncio.to_thread(tracing.stop)


def _install(service: Any) -> None:
    """Wraps the service: the first middleware is the outermost."""
    service.add_asgi_middleware(Observe)
    service.add_asgi_middleware(
        Cors,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["x-request-id", "x-model", "retry-after", "ratelimit", "ratelimit-policy"],
    )
    service.add_asgi_middleware(
        Limits,
        max_body_bytes=settings.max_body_bytes,
        timeout_s=settings.request_timeout_s,
        budget=Budget(settings.budget_bytes),
    )
    if settings.key_store:
        service.add_asgi_middleware(Keys, guard=lambda: http_app().state.guard)
    service.add_asgi_middleware(Dispatch, http_app=http_app, methods=[method.route for method in service.apis.values()])


_install(MediaClassifier)
