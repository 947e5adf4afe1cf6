"""Every question in one form, for one or several items; and the models."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from api.accept import preferred
from api.answers import admitted, answers
from api.auth import check_voice_key
from api.bodies import is_json, media_type, read_files, read_json
from api.middleware.observe import REQUEST_ID
from api.openapi import MODEL_ERRORS, errors, example, json_body
from api.v1.batch import MEDIA_TYPE, Batch, BatchLines, Input, collect
from api.v1.catalogue import describe
from api.v1.schemas import ClassifyRequest, ClassifyResponse, InputItem, ModelList
from core.errors import BadRequest
from media.examples import MUSIC_URL
from tasks.names import AI_VOICE
from tasks.questions import Question, question_named, questions
from tasks.run import Context

router = APIRouter(tags=["uniform"])

KEY = "file"  # of the form
EXAMPLE = {
    "question": "audio-scene",
    "items": [
        {
            "status": "success", "index": 0, "name": MUSIC_URL, "prediction": "music", "confidence": 0.98,
            "probabilities": {"speech": 0.01, "music": 0.98, "noise": 0.01, "silence": 0.0},
            "uncertain": False, "problems": [], "segments": [], "models": ["audio_scene:28e365665ae0b13f"],
            "audio": {"duration": 3.134, "sample_rate": 16000, "channels": 1, "container": "flac"},
            "image": None, "faces": [], "votes": [], "threshold": None, "features": {}, "explanation": "",
        },
        {
            "status": "error", "message": "the server of the audio answered with status 404",
            "request_id": "5f566fcc6319499ebeaa5077eb74da25", "index": 1, "name": "https://example.org/gone.mp3",
            "code": 502, "retry_after": None,
        },
    ],
}  # fmt: skip


def _body() -> dict[str, Any]:
    """The bodies that the route takes: JSON, and a form."""
    extra = json_body(ClassifyRequest, {"items": [{"url": MUSIC_URL}]})
    item = {"type": "string", "format": "binary"}
    about = "One or several recordings or pictures, in any container that the other routes take."
    files = {"type": "array", "minItems": 1, "items": item, "description": about}
    form: dict[str, Any] = {"type": "object", "required": [KEY], "properties": {KEY: files}}
    extra["requestBody"]["content"]["multipart/form-data"] = {"schema": form}
    # The Python client's generator makes code that cannot be imported of an operation with two bodies, unless it has an
    # optional parameter as well.
    named: dict[str, Any] = {
        "name": "x-request-id",
        "in": "header",
        "schema": {"type": "string", "pattern": f"^{REQUEST_ID.pattern}$"},
    }
    named["description"] = "An id for the answer, the logs and the errors; one is made where none is given."
    return extra | {"security": [{}, {"APIKeyHeader": []}], "parameters": [named]}


def _responses() -> dict[int | str, dict[str, Any]]:
    made = example(EXAMPLE)
    line = {"schema": {"type": "string", "description": "An entry of `items` in each line."}}
    made[200]["content"][MEDIA_TYPE] = line
    made[200]["description"] = "An entry for each item, in their order."
    return made | errors(*MODEL_ERRORS, 404, 415)


@router.post(
    "/v1/classify/{question}",
    response_model=ClassifyResponse,
    responses=_responses(),
    openapi_extra=_body(),
    summary="Any question, for one or several items",
)
async def classify(
    request: Request,
    question: Annotated[
        str,
        Path(json_schema_extra={"enum": list(questions())}, examples=["audio-scene"], description="What is asked."),
    ],
) -> Response:
    """Files in a form under the key `file`, or addresses and base64 in JSON, up to `MAX_BATCH_ITEMS` in a request.

    An item that cannot be answered has an entry that says why, with the status that it alone would have had, and
    stops no other. A client that accepts `application/x-ndjson` gets a line for each entry as soon as it is there.
    `ai-voice` needs a key, as `/api/voice-detection` does.
    """
    began = asyncio.get_running_loop().time()
    asked = question_named(question)
    bundle = answers(request)
    if question == AI_VOICE:
        check_voice_key(request.scope, bundle.context.settings.keys, request.headers)
    context = admitted(request, *asked.models).context
    batch = Batch(context, asked, await _inputs(request, context, asked), began)
    if preferred(request.headers.get("accept", ""), "application/json", MEDIA_TYPE) == MEDIA_TYPE:
        return BatchLines(batch)
    found = ClassifyResponse(question=question, items=await collect(batch))
    return JSONResponse(found.model_dump(mode="json"))


@router.get(
    "/v1/models",
    response_model=ModelList,
    responses=errors(500, 503),
    summary="The models: what each takes, its classes, licence and figures",
)
async def models(request: Request) -> ModelList:
    """What is served at this moment, with the figures that were measured on clips that the weights never met."""
    context = answers(request).context
    return ModelList(models=[await describe(model, context.settings) for model in context.models.values()])


async def _inputs(request: Request, context: Context, question: Question) -> list[Input]:
    """The items of a request.

    Raises:
        BadRequest: There is none, or too many, or the body is malformed.
        ServiceError: As ``read_json`` and ``read_files``.
    """
    most = context.settings.max_batch_items
    if not is_json(media_type(request.headers)):
        files = await read_files(request, KEY, most)
        return [Input(PurePath(name).name[:256], data) for name, data in files]
    body = await read_json(request, ClassifyRequest, context, question.label, *question.models)
    if len(body.items) > most:
        raise BadRequest(f"items: there are {len(body.items)}, and at most {most} in one request")
    return [_input(item) for item in body.items]


def _input(item: InputItem) -> Input:
    if item.url is not None:
        return Input(item.name or item.url, item.url, is_url=True)
    return Input(item.name, item.base64)
