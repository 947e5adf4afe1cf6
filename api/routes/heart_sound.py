"""The route of heart sounds (docs/contract.md, Heart sound)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from api.accept import preferred, prefers_html
from api.answers import admitted, answers
from api.bodies import audio_type
from api.openapi import MODEL_ERRORS, errors, try_it
from api.static import landing
from core.errors import BadRequest, NotFound
from media.pcm import PcmFormat
from models.messages import HeartResult
from tasks.heart_sound import MODEL

router = APIRouter(tags=["heart sound"])

EXAMPLE = {"class": "Normal", "confidence": 98.5}

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
    }
}


@router.post(
    "/upload_audio",
    response_class=Response,  # none in particular: text comes first in the document, as it does in the contract
    responses={
        200: {
            "description": "The class and its confidence in percent.",
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": "Normal, 98.5"},
                "application/json": {"schema": {"$ref": "#/components/schemas/HeartResult"}, "example": EXAMPLE},
            },
        },
        **errors(*MODEL_ERRORS, 415, 507),
    },
    openapi_extra=_BODY,
    summary="What does this heart sound show?",
    description=try_it(
        "Classifies raw PCM (little-endian) and keeps the answer as the latest prediction. A body that begins as an "
        "audio file does, or whose content type names one, is read as that, at its own rate. The answer is text; a "
        "client whose `Accept` header prefers JSON gets JSON.",
        "/upload_audio",
        "heart.pcm",
        "--data-binary @heart.pcm",
    ),
)
async def upload_audio(
    request: Request,
    sample_rate: Annotated[int, Query(ge=100, le=768_000, description="Hz.")] = 16_000,
    num_channels: Annotated[int, Query(ge=1, le=64)] = 1,
    sample_width: Annotated[int, Query(ge=1, le=4, description="Bytes of a sample; 1 is unsigned.")] = 2,
    amplification_factor: Annotated[float, Query(gt=0, le=1000, description="Gain, limited by the headroom.")] = 10.0,
) -> Response:
    """Answers for the body, in the form that the client prefers."""
    declared = audio_type(request)
    bundle = admitted(request, MODEL)
    if not (data := await request.body()):
        raise BadRequest("No audio data received")
    layout = PcmFormat(sample_rate, num_channels, sample_width)
    result = await bundle.heart_upload(data, declared, layout, amplification_factor)
    if preferred(request.headers.get("accept", ""), "text/plain", "application/json") == "application/json":
        return JSONResponse(result.model_dump())
    return PlainTextResponse(f"{result.class_}, {result.confidence}")


@router.get(
    "/",
    response_model=HeartResult,
    responses={
        200: {
            "content": {"text/html": {"schema": {"type": "string"}}, "application/json": {"example": EXAMPLE}},
            "description": "The latest prediction; for a browser, the landing page.",
        },
        **errors(403, 404, 429, 500, 503),
    },
    summary="The latest heart sound prediction",
)
async def latest(request: Request) -> Response:
    """The latest prediction in JSON; a browser gets the landing page."""
    if prefers_html(request.headers.get("accept", "")):
        return landing()
    if (result := await answers(request).context.latest.load()) is None:
        raise NotFound("no heart sound has been classified yet")
    return JSONResponse(result.model_dump(), headers={"vary": "accept"})
