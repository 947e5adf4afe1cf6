"""Forms as clients send them: what is the file, and words for what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from api.bodies import audio_type, read_file, read_files, read_json
from api.schemas import AnalyzeRequest
from api.v1.schemas import ClassifyRequest
from core.errors import BadRequest, ServiceError, UnsupportedMedia

pytestmark = pytest.mark.anyio

FORM = "multipart/form-data; boundary=b"
LONG = 1 << 20  # bytes
LARGE = bytes(range(256)) * (5 << 10)  # 1.25 MiB


def request(body: bytes, content_type: str = FORM, **headers: str) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    named = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


def part(content: bytes, head: str = 'name="audio"; filename="a.wav"') -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


END = b"--b--\r\n"


@pytest.mark.parametrize("content", [b"\xff\0sound", b"text", LARGE], ids=["bytes", "text", "large"])
@pytest.mark.parametrize(
    "head",
    ['name="audio"; filename="a.wav"', 'name="audio"; filename=""', "name=\"audio\"; filename*=UTF-8''h%C3%B6ren.wav",
     'name="audio"', "name=audio", 'name="audio"; filename="h\xf6ren.wav"; filename*=UTF-8''h%C3%B6ren.wav'],
    ids=["name", "empty-name", "extended-name", "no-name", "no-quotes", "both-names"],
)  # fmt: skip
async def test_the_part_under_the_key_is_the_file(head: str, content: bytes) -> None:
    """Above 1 MiB too, the bound of fields that are no files; and never decoded as text."""
    assert await read_file(request(part(b"x", 'name="other"') + part(content, head) + END), "audio") == content


@pytest.mark.parametrize("charset", ["punycode", "utf-7", "utf-16", "nonsense"])
async def test_names_are_in_utf8_whatever_the_caller_states(charset: str) -> None:
    """200 KB of punycode held up all others for 3 s, and UTF-7 has names that no answer can hold."""
    body = part(b"sound", 'name="file"; filename="+2AA-.wav"') + END
    assert await read_files(request(body, f"{FORM}; charset={charset}"), "file", 1) == [("+2AA-.wav", b"sound")]


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (part(b"1") + part(b"2") + END, FORM, "2 files under the key 'audio'"),
        (part(b"1", 'name="audio"') + part(b"2") + END, FORM, "2 files under the key 'audio'"),
        (part(b"1", 'name="file"; filename="a"') + END, FORM, "under the key 'audio'; the form has 'file'"),
        (END, FORM, "no file under the key 'audio'"), (part(b"") + END, FORM, "is empty"),
        (part(b"1") + END, "multipart/form-data", "no boundary"), (END, "multipart/form-data;", "no boundary"),
        (part(b"1") + END, "multipart/form-data; boundary=other", "with the boundary of its Content-Type"),
        (part(b"sound"), FORM, "cut off"), (b"--b\r\n\r\nx\r\n" + END, FORM, '"name" must be provided'),
        (b"".join(part(b"1", f'name="f{n}"') for n in range(20)) + END, FORM, "too many fields. Maximum"),
        (b"".join(part(b"1", f'name="f{n}"; filename="a"') for n in range(20)) + END, FORM, "too many files. Maximum"),
        (b"", "", "send multipart/form-data with a file under the key 'audio'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_is_wrong_with_a_form_is_said(body: bytes, content_type: str, words: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await read_file(request(body, content_type), "audio")
    assert words in refused.value.message


@pytest.mark.parametrize(
    "body", [part(b"x") + b"--b" + b" " * LONG, part(b"\r\n--bX" * (LONG // 6)) + END], ids=["blanks", "marks"]
)
async def test_others_have_their_turn_while_a_form_is_parsed(body: bytes) -> None:
    """What its parser looks at byte by byte held up all others: 16 MB for 5 s, in parts of up to 0.4 s."""
    reading = asyncio.create_task(read_file(request(body), "audio"))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    with contextlib.suppress(BadRequest):
        await reading
    assert turns > LONG >> 16


async def test_a_wrong_field_of_a_long_name_is_not_repeated_as_a_whole() -> None:
    body = json.dumps({"items": [{"url": "http://a"}], "a" * 10_000: 1}).encode()
    with pytest.raises(BadRequest, match="aaa: Extra inputs are not permitted") as refused:
        await read_json(request(body, "application/json"), ClassifyRequest, None, "")  # type: ignore[arg-type]
    assert len(refused.value.message) < 300


async def test_the_form_may_have_other_fields() -> None:
    body = part(b"1", 'name="audiobook"') + part(b"sound") + part(b"2", 'name="x"; filename="y"') + END
    assert await read_file(request(body), "audio") == b"sound"


READERS: dict[str, Callable[[Request], Awaitable[Any]]] = {
    "form": lambda found: read_file(found, "audio"),
    "json": lambda found: read_json(found, AnalyzeRequest, None, "m"),  # type: ignore[arg-type]  # not so far
}


@pytest.mark.parametrize("coding", ["gzip", "br", "x-gzip", "utf-8, GZIP"])
@pytest.mark.parametrize("reader", [*READERS, "sound"])
async def test_a_compressed_body_is_refused(reader: str, coding: str) -> None:
    """Its bytes were taken for what is inside: for PCM, by the route of heart sounds."""
    found = request(part(b"sound") + END, content_encoding=coding)
    with pytest.raises(UnsupportedMedia, match="not compressed by"):
        audio_type(found) if reader == "sound" else await READERS[reader](found)


@pytest.mark.parametrize("coding", ["", "identity", "utf-8", "aws-chunked"])
async def test_a_word_that_is_no_compression_is_none(coding: str) -> None:
    assert await read_file(request(part(b"sound") + END, content_encoding=coding), "audio") == b"sound"


async def test_what_fails_is_a_failure_of_ours() -> None:
    for body in (b"\0" * 100, b"--b", b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n', END[:-4]):
        with pytest.raises(ServiceError):
            await read_file(request(body), "audio")
