"""The route of AI-generated voice detection (docs/contract.md, AI-generated voice)."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import APIKeyHeader

from api.answers import admitted, answers
from api.auth import check_voice_key
from api.bodies import read_json
from api.openapi import MODEL_ERRORS, errors, example, json_body
from api.schemas import VoiceRequest, VoiceResponse
from media.examples import read
from tasks.names import ENSEMBLE
from tasks.voice_deepfake import MEMBERS

_header = APIKeyHeader(name="x-api-key", auto_error=False, description="A key of `API_KEY` or `API_KEYS`.")


def keyed(request: Request, _key: Annotated[str | None, Security(_header)]) -> None:
    """Lets requests with a configured key pass, before their body is read."""
    check_voice_key(request.scope, answers(request).context.settings.keys, request.headers)


REQUEST = {"language": "English", "audioFormat": "ogg", "audioBase64": base64.b64encode(read("voice.ogg")).decode()}
EXAMPLE = {
    "status": "success",
    "language": "English",
    "classification": "HUMAN",
    "confidenceScore": 0.86,
    "explanation": "AI score 0.14: classified as human speech. ... Pointing to it: ...",
}

router = APIRouter(tags=["AI voice"], dependencies=[Depends(keyed)])


@router.post(
    "/api/voice-detection",
    response_model=VoiceResponse,
    responses=example(EXAMPLE) | errors(*MODEL_ERRORS, 415, 422),
    openapi_extra=json_body(VoiceRequest, REQUEST),
    summary="Did a human or an AI speak this?",
)
async def voice_detection(request: Request) -> VoiceResponse:
    """The decision of three models, with the measured values that drove it.

    The key is one of `API_KEY` or `API_KEYS`, in the header `x-api-key`; on this page, give it under "Authorize".
    The example is of [LibriSpeech](https://www.openslr.org/12), reader Andrew Miller, CC BY 4.0, cut and coded as Opus.
    """
    bundle = admitted(request, *MEMBERS)
    return await bundle.voice_detection(await read_json(request, VoiceRequest, bundle.context, ENSEMBLE, *MEMBERS))
