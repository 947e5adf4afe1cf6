"""How a route reaches the bundle, and how it reads a JSON body."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.answers import Answers
from api.uploads import is_json, media_type
from core.errors import BadRequest, Unavailable, UnsupportedMedia

M = TypeVar("M", bound=BaseModel)

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some clients begin their UTF-8 with it; it is harmless


def answers(request: Request) -> Answers:
    """What answers in this process.

    Raises:
        Unavailable: The process is still starting.
    """
    found = getattr(request.app.state, "answers", None)
    if not isinstance(found, Answers):
        raise Unavailable("the service is starting", retry_after=1)
    return found


async def read_json(request: Request, model: type[M], name: str) -> M:
    """Reads a JSON body.

    Args:
        request: Its content type is JSON, or not stated.
        model: What the body must be.
        name: The model that it is for, as the metrics call it.

    Raises:
        BadRequest: It is not; the message names the first wrong field.
        UnsupportedMedia: The content type is another.
    """
    found = media_type(request)
    if found and not is_json(found):
        raise UnsupportedMedia(f"send the body as application/json, not as {found[:100]}")
    body = await request.body()
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        return await answers(request).context.in_thread(name, "json", lambda: model.model_validate_json(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{name}: {first['msg']}" if name else f"the body: {first['msg']}") from None
