"""Reading uploads: in memory, within the limits that ``api.limits`` enforces while they arrive."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from core.errors import BadRequest, UnsupportedMedia
from media.containers import declared_container

MULTIPART = "multipart/form-data"
MAX_FIELDS = 16


class _MemoryParser(MultiPartParser):
    """Keeps files in memory: the whole body is bounded, and nothing uploaded may lie on a disk."""

    spool_max_size = 1 << 40


def media_type(request: Request) -> str:
    """The request's content type without parameters, in small letters; empty when there is none."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def audio_type(request: Request) -> str:
    """Gives the container that the content type of a body names, which is a recording and nothing around it.

    Returns:
        A name of ``media.containers``, or ``unknown``.

    Raises:
        UnsupportedMedia: It is a form or JSON.
    """
    found = media_type(request)
    if found.startswith("multipart/") or is_json(found):
        raise UnsupportedMedia(f"send the recording itself as the body, not as {found[:100]}")
    return declared_container(found)


def is_json(found: str) -> bool:
    """Says whether a content type is one of JSON."""
    return found == "application/json" or found.endswith("+json")


async def read_file(request: Request, key: str) -> bytes:
    """Reads the one file of a form.

    Args:
        request: A ``multipart/form-data`` request.
        key: Name of the form field.

    Returns:
        The file's bytes, at least one.

    Raises:
        BadRequest: The form is malformed, or the file is missing or empty.
        UnsupportedMedia: The body is of another type.
    """
    if (found := media_type(request)) != MULTIPART:
        if found:
            raise UnsupportedMedia(f"send the file as {MULTIPART} under the key '{key}', not as {found[:100]}")
        raise BadRequest(f"no file: send {MULTIPART} with a file under the key '{key}'")
    parser = _MemoryParser(request.headers, request.stream(), max_files=MAX_FIELDS, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError) as error:
        raise BadRequest("the form cannot be read: it is not well-formed multipart/form-data") from error
    try:
        file = form.get(key)
        if not isinstance(file, UploadFile):
            raise BadRequest(f"no file under the key '{key}'")
        if not (data := await file.read()):
            raise BadRequest(f"the file under the key '{key}' is empty")
        return data
    finally:
        await form.close()
