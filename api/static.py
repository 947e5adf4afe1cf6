"""Files of the pages: compressed once for clients that take gzip, and not sent again while they are unchanged."""

from __future__ import annotations

import functools
import gzip
import re
from collections.abc import Mapping
from pathlib import Path

from fastapi.responses import FileResponse, Response
from starlette.requests import Request

COMPRESSIBLE = ("text/", "application/json", "image/svg+xml")  # recordings and photographs are compressed already
SMALLEST = 1000  # bytes; smaller files fit into one packet as they are
NEVER = re.compile(r"q=0(\.0*)?")
FILES = 64  # compressed files that are kept in memory, 0.6 MiB in all


def static_file(request: Request, path: Path, media_type: str, headers: Mapping[str, str]) -> Response:
    """A file of the source tree or of an installed package.

    Args:
        request: What the client takes, and which version it has.
        path: The file; who calls has made sure that it may be served.
        media_type: Its type.
        headers: To send with it.
    """
    stat = path.stat()
    is_packed = media_type.startswith(COMPRESSIBLE) and stat.st_size >= SMALLEST and takes_gzip(request)
    tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}{"-gzip" if is_packed else ""}"'
    sent = {**headers, "etag": tag, "vary": "accept-encoding"}
    if tag in (part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=sent)
    if not is_packed:
        return FileResponse(path, media_type=media_type, headers=sent)
    body = packed(path, stat.st_mtime_ns)
    return Response(body, media_type=media_type, headers={**sent, "content-encoding": "gzip"})


def static_text(request: Request, body: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The same for what is no file: it is compressed each time.

    Args:
        request: What the client takes.
        body: The text.
        media_type: Its type.
        headers: To send with it.
    """
    sent = {**headers, "vary": "accept-encoding"}
    if not takes_gzip(request):
        return Response(body, media_type=media_type, headers=sent)
    return Response(gzip.compress(body, mtime=0), media_type=media_type, headers={**sent, "content-encoding": "gzip"})


@functools.lru_cache(maxsize=FILES)
def packed(path: Path, _changed: int) -> bytes:
    """A file in gzip; it takes 0.1 s for the largest one, once."""
    return gzip.compress(path.read_bytes(), 9, mtime=0)


def takes_gzip(request: Request) -> bool:
    """Whether a client takes gzip (RFC 9110, section 12.5.3)."""
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name in ("gzip", "x-gzip"):
            return not any(NEVER.fullmatch(parameter) for parameter in parameters)
    return False
