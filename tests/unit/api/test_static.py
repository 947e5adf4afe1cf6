"""Files of pages: who gets them compressed, and who needs none because it has them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from api.static import ASSETS, BROTLI_FILES, static_file

TEXT = b"body { margin: 0; }\n" * 200


@pytest.fixture
def style(tmp_path: Path) -> Path:
    path = tmp_path / "style.css"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def client(style: Path) -> TestClient:
    app = FastAPI()

    @app.get("/{media_type:path}")
    def file(request: Request, media_type: str) -> Response:
        return static_file(request, style, media_type, {"x-page": "yes"})

    return TestClient(app)


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip, deflate, br", True), ("br;q=1.0, GZIP;q=0.5", True), ("x-gzip", True),
        ("gzip;q=0", False), ("gzip; q=0.00, identity", False), ("identity", False), ("", False), ("gzip;q=abc", True),
    ],
)  # fmt: skip
def test_client_gets_the_coding_that_it_takes(client: TestClient, accepted: str, is_packed: bool) -> None:
    with client.stream("GET", "/text/css", headers={"accept-encoding": accepted}) as response:
        raw = b"".join(response.iter_raw())
        assert (response.headers.get("content-encoding") == "gzip") == is_packed
        assert int(response.headers["content-length"]) == len(raw)
        assert (gzip.decompress(raw) if is_packed else raw) == TEXT
        assert response.headers["vary"] == "accept-encoding"
        assert response.headers["x-page"] == "yes"


@pytest.mark.parametrize("name", BROTLI_FILES)
@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "br"), ("br", "br"), ("gzip", "gzip"), ("gzip, br;q=0", "gzip"), ("br;q=0", None),
        ("", None),
    ],
)  # fmt: skip
def test_large_files_lie_here_in_brotli(name: str, accepted: str, coding: str | None) -> None:
    app = FastAPI()
    folder, media_type = ASSETS[name]

    @app.get("/")
    def file(request: Request) -> Response:
        return static_file(request, folder / name, media_type, {})

    client = TestClient(app)
    with client.stream("GET", "/", headers={"accept-encoding": accepted}) as response:
        raw = b"".join(response.iter_raw())
    assert response.headers.get("content-encoding") == coding
    assert int(response.headers["content-length"]) == len(raw)
    assert raw == BROTLI_FILES[name].read_bytes() if coding == "br" else len(raw) > BROTLI_FILES[name].stat().st_size
    again = client.get("/", headers={"accept-encoding": accepted, "if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_recordings_are_sent_as_they_are(client: TestClient) -> None:
    assert "content-encoding" not in client.get("/audio/flac", headers={"accept-encoding": "gzip"}).headers


def test_file_that_is_unchanged_is_not_sent_again(client: TestClient, style: Path) -> None:
    tag = client.get("/text/css").headers["etag"]
    again = client.get("/text/css", headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    style.write_bytes(TEXT.upper())
    os.utime(style, ns=(0, style.stat().st_mtime_ns + 1))
    changed = client.get("/text/css", headers={"if-none-match": tag})
    assert (changed.status_code, changed.content) == (200, TEXT.upper())


@pytest.mark.parametrize(
    ("asked", "status", "size"),
    [("bytes=0-9", 206, 10), ("bytes=3990-", 206, len(TEXT) - 3990), ("bytes=-7", 206, 7), ("bytes=5-99999", 206, None),
     ("bytes=5-2", 200, None), ("bytes=99999-", 200, None), ("lines=1-2", 200, None), ("bytes=", 200, None),
     ("bytes=-0", 200, None), ("nonsense", 200, None), ("bytes=0-1,5-2", 200, None), (f"bytes={10**99}-", 200, None)],
)  # fmt: skip
def test_a_part_that_a_file_does_not_have_is_asked_for_in_vain(
    client: TestClient, asked: str, status: int, size: int | None
) -> None:
    """It was answered with 400 or 416 in words of the framework, which are no error of the contract."""
    answer = client.get("/audio/flac", headers={"range": asked})
    assert answer.status_code == status
    if status == 200:
        assert answer.content == TEXT
    elif size is not None:
        assert len(answer.content) == size
