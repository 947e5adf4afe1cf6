"""The route of audio analysis by URL (docs/contract.md, Audio scene)."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api.answers import answers
from api.bodies import read_json
from api.openapi import MODEL_ERRORS, errors, example, json_body
from api.schemas import AnalyzeRequest, SceneResponse
from media.examples import MUSIC_URL
from tasks.audio_scene import MODEL

router = APIRouter(tags=["audio scene"])

EXAMPLE = {"duration": 3.13, "sample_rate": 16000, "channels": 1, "classification": "music"}


@router.post(
    "/analyze-audio",
    response_model=SceneResponse,
    responses=example({"status": "success", "data": EXAMPLE}) | errors(*MODEL_ERRORS, 415, 422, 502),
    openapi_extra=json_body(AnalyzeRequest, {"audio_url": MUSIC_URL}),
    summary="Is this audio speech, music, noise or silence?",
)
async def analyze_audio(request: Request) -> SceneResponse:
    """Downloads the audio, describes it and says what it is; remembered under its URL.

    The URL of the example names a recording that the bundle carries: it is answered without a network.
    """
    bundle = answers(request)
    # The cache answers even where the model has no room; what it does not know asks for room itself.
    body = await read_json(request, AnalyzeRequest, bundle.context, MODEL, MODEL)
    return await bundle.audio_scene(body.audio_url)
