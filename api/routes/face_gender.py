"""The routes of face gender (docs/contract.md, Face gender)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from api.answers import admitted
from api.bodies import read_file
from api.openapi import MODEL_ERRORS, errors, example, file_form, try_it
from api.responses import own_fields
from api.schemas import FaceErrorBody, FaceResponse
from media.containers import PICTURE_LABELS
from models.face_gender import SPEC
from tasks.face_gender import MODEL

router = APIRouter(tags=["face gender"])

PATHS = ("/api/gender", "/predict")
EXAMPLE = {
    "class": "male",
    "label": 1,
    "meta": {
        "description": f"{SPEC.description} ({SPEC.architecture})",
        "language": "python 3.11",
        "library": SPEC.library,
        "main": "computer vision (cv)",
        "programmer": "model face_gender:28e365665ae0b13f",
    },
    "predictions": [
        {"class": "female", "label": 0, "probability": 0.02},
        {"class": "male", "label": 1, "probability": 0.98},
    ],
    "probability": 0.98,
}


@own_fields(*PATHS)
def face_error(message: str) -> dict[str, Any]:
    """The error fields of this reference."""
    return {"success": False, "error": message}


async def gender(request: Request) -> FaceResponse:
    """Answers for the file of the form."""
    bundle = admitted(request, MODEL)
    return await bundle.face_gender(await read_file(request, "image"))


for _path in PATHS:
    router.post(
        _path,
        response_model=FaceResponse,
        responses=example({"predictions": EXAMPLE, "success": True})
        | errors(*MODEL_ERRORS, 415, 422, model=FaceErrorBody),
        openapi_extra=file_form("image", f"A picture with a face: {PICTURE_LABELS}."),
        operation_id="predict_gender" if _path == "/predict" else "gender",
        summary="Is this face male or female?",
        description=try_it(
            "Answers for the largest face of the picture, which is looked for first.",
            _path,
            "face.jpg",
            "-F image=@face.jpg",
        ),
    )(gender)
