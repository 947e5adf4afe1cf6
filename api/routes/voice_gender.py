"""The route of voice gender (docs/contract.md, Voice gender)."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api.answers import admitted
from api.bodies import read_file
from api.openapi import MODEL_ERRORS, errors, example, file_form, try_it
from api.schemas import ClassScore
from media.containers import SOUND_LABELS
from tasks.voice_gender import MODEL

router = APIRouter(tags=["voice gender"])

EXAMPLE = [{"score": 0.9987, "label": "male"}, {"score": 0.0013, "label": "female"}]


@router.post(
    "/api/detect-gender",
    response_model=list[ClassScore],
    responses=example(EXAMPLE) | errors(*MODEL_ERRORS, 415, 422),
    openapi_extra=file_form("audio", f"A recording of a voice: {SOUND_LABELS}."),
    summary="Is this voice male or female?",
    description=try_it(
        "Both classes with their probabilities, the more probable one first.",
        "/api/detect-gender",
        "voice.flac",
        "-F audio=@voice.flac",
    ),
)
async def detect_gender(request: Request) -> list[ClassScore]:
    """Answers for the file of the form."""
    bundle = admitted(request, MODEL)
    return await bundle.voice_gender(await read_file(request, "audio"))
