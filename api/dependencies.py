"""How a route reaches the bundle, and how it reads a JSON body."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.answers import Answers
from api.uploads import check_plain, is_json, media_type
from core.errors import BadRequest, Unavailable, UnsupportedMedia
from core.memory import hold
from tasks.run import Context

M = TypeVar("M", bound=BaseModel)

SMALL_BYTES = 1 << 16  # of JSON, which take about 0.1 ms to parse; the address of a recording has 4 KiB at most
# Values of a JSON body, by the marks that begin or part them; each takes up to 110 bytes while it is parsed, so that 32
# MiB of ``[],`` would take 1.2 GB. Base64 has none of these marks, and a batch has some for each item.
MAX_VALUES = 100_000
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


def admitted(request: Request, *models: str) -> Answers:
    """What answers in this process, if the models of the request have room for it.

    Asked before a body is read, which costs memory and time as well; the operations ask again when it is there.

    Raises:
        TooManyRequests: A model has more waiting than it can answer in time.
        Unavailable: The process is still starting, or a runner is down.
    """
    found = answers(request)
    found.context.ensure_room(*models)
    return found


async def read_json(request: Request, body: type[M], context: Context, name: str, *models: str) -> M:
    """Reads a JSON body. A small one is parsed at once: it waits for nothing that others decode.

    Args:
        request: Its content type is JSON, or not stated.
        body: What the body must be.
        context: The bundle.
        name: The question that a large body is parsed for, as the metrics call it.
        models: The models that will be asked, which must have room before a large body is parsed.

    Raises:
        BadRequest: It is not; the message names the first wrong field.
        UnsupportedMedia: The content type is another, or the body is compressed.
        ServiceError: As ``Context.ensure_room``, for a large body.
    """
    check_plain(request)
    found = media_type(request)
    if found and not is_json(found):
        raise UnsupportedMedia(f"send the body as application/json, not as {found[:100]}")
    data = (await request.body()).removeprefix(BYTE_ORDER_MARK)
    try:
        if len(data) <= SMALL_BYTES:
            return body.model_validate_json(data)
        context.ensure_room(*models)
        hold(len(data))  # of what is parsed, nearly all is one text
        return await context.in_thread(name, "json", lambda: _parse(body, data), len(data), then=models)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{field}: {first['msg']}" if field else f"the body: {first['msg']}") from None


def _parse(body: type[M], data: bytes) -> M:
    """Parses a large body, if it does not become much larger by that.

    Raises:
        BadRequest: It has more values than any request.
        ValidationError: It is not what the body must be.
    """
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise BadRequest(f"the body: it has more than {MAX_VALUES} values")
    return body.model_validate_json(data)
