"""Reading bodies: forms with files, and JSON.

All stays in memory, within the limits that ``api.middleware.limits`` enforces while a body arrives. BentoML's typed
methods load this file in every process, so it imports nothing that answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from core.errors import BadRequest, UnsupportedMedia
from core.memory import hold
from media.containers import declared_container
from media.encodings import compressions

if TYPE_CHECKING:
    from tasks.run import Context

M = TypeVar("M", bound=BaseModel)

MALFORMED = "it is not well-formed multipart/form-data with the boundary of its Content-Type"
MULTIPART = "multipart/form-data"
MAX_PARTS = 16  # files, and as many other fields
FORM_PIECE = (
    1 << 14
)  # bytes of a form that are parsed at once: 5 ms where each is looked at, as blanks after a boundary
SMALL_BYTES = 1 << 16  # of JSON, which take about 0.1 ms to parse; the address of a recording has 4 KiB at most
# Values of a JSON body, by the marks that begin or part them; each takes up to 110 bytes while it is parsed, so that 32
# MiB of ``[],`` would take 1.2 GB. Base64 has none of these marks, and a batch has some for each item.
MAX_VALUES = 100_000
MAX_NAME = 200  # characters of a wrong field that are repeated
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some clients begin their UTF-8 with it; it is harmless


class _MemoryParser(MultiPartParser):
    """Keeps files in memory: the whole body is bounded, and nothing uploaded may lie on a disk.

    The part that is looked for is a file whatever its head says: curl's ``-F 'audio=<x.wav'`` gives it no name, and
    some clients give it one in the extended form only (``filename*=``), which the parser passes over.
    """

    spool_max_size = 1 << 40

    def __init__(self, request: Request, key: str, most: int = MAX_PARTS) -> None:
        super().__init__(request.headers, _pieces(request.stream()), max_files=most, max_fields=most)
        self._key = key.encode()
        self.is_whole = False

    @property
    def _charset(self) -> str:
        """UTF-8 for names and fields, whatever the caller states (RFC 7578, 5.1.2).

        Python decodes some charsets in quadratic time (punycode), and others to what no answer can hold (UTF-7).
        """
        return "utf-8"

    @_charset.setter
    def _charset(self, stated: str) -> None:
        """What the content type states is passed over."""

    def on_headers_finished(self) -> None:
        """Takes the head of a part."""
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if options.get(b"name") == self._key and b"filename" not in options:
            part.content_disposition = (part.content_disposition or b"") + b'; filename="file"'
        super().on_headers_finished()

    def close(self) -> None:
        """Frees all files, that of a part which did not end as well."""
        for file in self._files_to_close_on_error:
            file.close()

    def on_end(self) -> None:
        """Takes the last boundary."""
        self.is_whole = True


async def _pieces(stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """A body bit by bit; after each, others have their turn."""
    async for chunk in stream:
        for start in range(0, len(chunk), FORM_PIECE):
            yield chunk[start : start + FORM_PIECE]
            await asyncio.sleep(0)


def media_type(headers: Mapping[str, str]) -> str:
    """The content type that a request states, without parameters and in lower case; empty when it states none."""
    return headers.get("content-type", "").split(";")[0].strip().lower()


def check_plain(request: Request) -> None:
    """Refuses a body whose compression was not undone (``api.middleware.inflate`` undoes gzip and deflate).

    Raises:
        UnsupportedMedia: It is.
    """
    if found := compressions(request.headers.get("content-encoding", "")):
        raise UnsupportedMedia(f"send the body as it is or in gzip, not compressed by {', '.join(found)[:100]}")


def audio_type(request: Request) -> str:
    """Gives the container that the content type of a body names, which is a recording and nothing around it.

    Returns:
        A name of ``media.containers``, or ``unknown``.

    Raises:
        UnsupportedMedia: It is a form or JSON, or compressed.
    """
    check_plain(request)
    found = media_type(request.headers)
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
        BadRequest: The form is malformed, or the file is missing, empty or one of several.
        UnsupportedMedia: The body is of another type, or compressed.
    """
    async with _form(request, key, MAX_PARTS) as (form, is_whole):
        return await _only_file(form, key, is_whole=is_whole)


async def read_files(request: Request, key: str, most: int) -> list[tuple[str, bytes]]:
    """Reads the files of a form, whatever their fields are called.

    Args:
        request: A ``multipart/form-data`` request.
        key: Name of the field whose parts are files though their heads do not say so.
        most: Largest number of files.

    Returns:
        Name and bytes of each, in order; a file may be empty.

    Raises:
        BadRequest: The form is malformed, or has no file or too many.
        UnsupportedMedia: The body is of another type, or compressed.
    """
    async with _form(request, key, most) as (form, is_whole):
        files = [file for _, file in form.multi_items() if isinstance(file, UploadFile)]
        if not files:
            _refuse_without_file(form, key, is_whole=is_whole)
        return [(file.filename or "", await file.read()) for file in files]


@contextlib.asynccontextmanager
async def _form(request: Request, key: str, most: int) -> AsyncIterator[tuple[FormData, bool]]:
    """A form, and whether its last boundary was there."""
    check_plain(request)
    if (found := media_type(request.headers)) != MULTIPART:
        if found:
            raise UnsupportedMedia(f"send the file as {MULTIPART} under the key '{key}', not as {found[:100]}")
        raise BadRequest(f"no file: send {MULTIPART} with a file under the key '{key}'")
    if "boundary=" not in request.headers["content-type"].lower():
        raise BadRequest("the Content-Type of the form has no boundary: let your HTTP client set this header itself")
    parser = _MemoryParser(request, key, most)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"the form cannot be read: {_words(error)}") from error
    except (ValueError, KeyError) as error:
        raise BadRequest(f"the form cannot be read: {MALFORMED}") from error
    try:
        yield form, parser.is_whole
    finally:
        parser.close()


def _words(error: MultiPartException) -> str:
    """What is wrong with a form: the parser's words, or ours where it has none."""
    said = error.message.rstrip(".")
    return f"{said[:1].lower()}{said[1:]}" if said.startswith("Too many") or '"name"' in said else MALFORMED


async def _only_file(form: FormData, key: str, *, is_whole: bool) -> bytes:
    files = [file for file in form.getlist(key) if isinstance(file, UploadFile)]
    if not files:
        _refuse_without_file(form, key, is_whole=is_whole)
    if len(files) > 1:
        raise BadRequest(f"there are {len(files)} files under the key '{key}': send one for each request")
    if not (data := await files[0].read()):
        raise BadRequest(f"the file under the key '{key}' is empty")
    return data


def _refuse_without_file(form: FormData, key: str, *, is_whole: bool) -> NoReturn:
    """Says why there is no file.

    Raises:
        BadRequest: Always.
    """
    if not is_whole:
        raise BadRequest("the form is cut off: its last boundary is missing")
    found = ", ".join(f"'{name[:50]}'" for name in list(dict.fromkeys(form))[:3])
    raise BadRequest(f"no file under the key '{key}'" + (f"; the form has {found}" if found else ""))


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
    found = media_type(request.headers)
    if found and not is_json(found):
        raise UnsupportedMedia(f"send the body as application/json, not as {found[:100]}")
    data = (await request.body()).removeprefix(BYTE_ORDER_MARK)
    try:
        if len(data) <= SMALL_BYTES:
            return body.model_validate_json(data)
        context.ensure_room(*models)
        hold(len(data))  # of what is parsed, nearly all is one text
        return await context.decoder.timed(name, "json", lambda: _parse(body, data), len(data), then=models, alone=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:MAX_NAME]  # the caller's own, of any length
        raise BadRequest(f"{field or 'the body'}: {first['msg'].removeprefix('Value error, ')}") from None


def _parse(body: type[M], data: bytes) -> M:
    """Parses a large body, if it does not become much larger by that.

    Raises:
        BadRequest: It has more values than any request.
        ValidationError: It is not what the body must be.
    """
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise BadRequest(f"the body: it has more than {MAX_VALUES} values")
    return body.model_validate_json(data)
