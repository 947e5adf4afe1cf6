"""Pieces of the OpenAPI document that routes share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from api.auth import INVALID
from api.schemas import ErrorBody, FaceErrorBody
from media.containers import NOT_AUDIO
from storage.latest import NOT_KEPT

ADDRESS = "http://localhost:3000"  # in examples: where ``make serve`` listens

_REASONS = {
    400: "The input is wrong.",
    403: "The key is missing or wrong; where the server has a store of keys, every question needs one.",
    404: "There is nothing here, or nothing yet.",
    413: "The body or the recording is larger than the limits.",
    415: "The body is of another type than this route takes.",
    422: "The input is well formed but holds nothing to answer about.",
    429: "Too much is waiting for the model, or a quota of the key is used up; `Retry-After` says when to try again.",
    500: "The server failed.",
    502: "The server that the URL names failed.",
    503: "The model's runner is down, or the server has too much in hand; `Retry-After` says when to try again.",
    504: "No answer within the time limit.",
    507: "The result cannot be kept: the storage is full or cannot be written.",
}
_MESSAGES = {
    400: NOT_AUDIO,
    403: INVALID,
    404: "no heart sound has been classified yet",
    413: "the body is larger than 32 MiB",
    415: "send the body as application/json, not as text/plain",
    422: "no speech was found in the recording",
    429: "the voice_gender model has more waiting than it can answer in time, try again later",
    500: "the server failed on this request",
    502: "the server of the audio answered with status 404",
    503: "the voice_gender model is not available at the moment",
    504: "no answer within 60 seconds",
    507: NOT_KEPT,
}
_FACE_MESSAGES = {422: "no face was found in the picture"}
# Schemas of JSON bodies by name. Routes read bodies themselves, so that FastAPI does not know them.
BODIES: dict[str, dict[str, Any]] = {}

# What any route that asks a model may answer.
MODEL_ERRORS = (400, 403, 413, 429, 500, 503, 504)


def errors(*statuses: int, model: type[BaseModel] = ErrorBody) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` argument of a route."""
    return {
        status: {
            "model": model,
            "description": _REASONS[status],
            "content": {"application/json": {"example": _error_example(status, model)}},
        }
        for status in sorted(set(statuses))
    }


def example(answer: Any) -> dict[int | str, dict[str, Any]]:
    """The part of the ``responses`` argument that shows a good answer."""
    return {200: {"content": {"application/json": {"example": answer}}}}


def _error_example(status: int, model: type[BaseModel]) -> dict[str, Any]:
    message = (_FACE_MESSAGES if model is FaceErrorBody else {}).get(status) or _MESSAGES[status]
    values = {"status": "error", "message": message, "request_id": "5f566fcc6319499ebeaa5077eb74da25"}
    return model.model_validate({**values, "success": False, "error": message}).model_dump(mode="json")


def file_form(key: str, what: str) -> dict[str, Any]:
    """The ``openapi_extra`` of a route that takes one file in a form."""
    schema = {
        "type": "object",
        "required": [key],
        "properties": {key: {"type": "string", "format": "binary", "description": what}},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def try_it(says: str, path: str, file: str, option: str) -> str:
    """The description of a route that takes a file: two commands that work as they are, and where the file is.

    Args:
        says: What the route does.
        path: Of the route.
        file: The example that is sent.
        option: How curl sends it.
    """
    return (
        f"{says}\n\nWith [{file}](/examples/{file}), which this server carries:\n\n"
        f"```sh\ncurl -O {ADDRESS}/examples/{file}\ncurl {option} {ADDRESS}{path}\n```"
    )


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """The ``openapi_extra`` of a route that takes JSON."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    BODIES.update(schema.pop("$defs", {}))
    BODIES[model.__name__] = schema
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}
