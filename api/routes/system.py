"""The service surface (docs/contract.md): health, readiness, metrics and pages."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.answers import answers
from api.openapi import errors, example
from api.responses import error_response
from api.schemas import Readiness
from api.static import HEADERS, SAMPLES, File, asset, docs, static_text
from core import metrics
from core.errors import NotFound
from media import examples
from models import registry
from scheduling.runner_client import RETRY_AFTER_S

router = APIRouter(tags=["service"])

READY = example({"status": "ready", "models": {"voice_gender": "ready", "heart_sound": "ready"}})


@router.get("/health", response_class=PlainTextResponse, summary="Whether the API process answers")
@router.get("/livez", response_class=PlainTextResponse, operation_id="livez", summary="The same")
@router.get("/healthz", response_class=PlainTextResponse, operation_id="healthz", summary="The same")
async def health() -> str:
    """Always `OK`: that a runner is down is for `/readyz` to say."""
    return "OK"


@router.get("/readyz", response_model=Readiness, responses=READY | errors(503), summary="Whether every model answers")
async def readyz(request: Request) -> Response:
    """Asks every runner; the answer names those that are not ready, within two seconds.

    Where every question needs a key, it also says when the keys could not be read yet.
    """
    models = answers(request).context.models
    asked = {name: model.client.alive() for name, model in models.items()}
    if (guard := getattr(request.app.state, "guard", None)) is not None:
        asked["the keys of callers"] = guard.is_ready()
    found = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    if all(found.values()):
        return JSONResponse({"status": "ready", "models": dict.fromkeys(models, "ready")})
    missing = [name for name, is_ready in found.items() if not is_ready]
    return error_response(503, f"not ready: {', '.join(missing)}", retry_after=RETRY_AFTER_S)


@router.get("/metrics", response_class=PlainTextResponse, summary="Metrics for Prometheus")
async def exposition() -> Response:
    """Metrics of all processes of this server."""
    body = await asyncio.to_thread(metrics.exposition)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


@router.get("/examples/{name}", include_in_schema=False)
async def example_file(name: str) -> Response:
    """A file to try the routes with."""
    if name in examples.MEDIA_TYPES:
        return File(examples.path(name), media_type=examples.MEDIA_TYPES[name])
    if (sample := registry.samples().get(name)) is not None:
        return File(sample, media_type=SAMPLES[sample.suffix])
    raise NotFound(f"the examples are {', '.join([*examples.MEDIA_TYPES, *registry.samples()])}")


@router.get("/docs", include_in_schema=False)
def documentation(request: Request) -> Response:
    """The routes, with forms to try them."""
    return docs(request)


@router.get("/docs.json", include_in_schema=False)
@router.get("/openapi.json", include_in_schema=False)  # where generators and developers look for it
def document(request: Request) -> Response:
    """The OpenAPI document, compressed where the client takes that."""
    return static_text(request, json.dumps(request.app.openapi()).encode(), "application/json", HEADERS)


@router.get("/pages/{name}", include_in_schema=False)
def page_asset(request: Request, name: str) -> Response:
    """What the pages load: styles, scripts and the icon."""
    if (response := asset(request, name)) is None:
        raise NotFound("the pages have no such part")
    return response
