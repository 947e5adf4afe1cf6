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

from api.static import static_file

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
