"""Bodies that a client compressed by gzip have the answer that they have as they are."""

from __future__ import annotations

import gzip

import httpx
import pytest

from tests.support.heart_bytes import heartbeat, pcm
from tests.support.served import DATA
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

VOICE = (DATA / "voices" / "female_1.flac").read_bytes()


def packed(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    """Sends a request with its body compressed."""
    headers = {**request.headers, "content-encoding": "gzip"}
    del headers["content-length"]
    return client.send(
        client.build_request(request.method, request.url, headers=headers, content=gzip.compress(request.read()))
    )


def test_a_form(client: httpx.Client) -> None:
    request = client.build_request("POST", "/api/detect-gender", files={"audio": VOICE})
    assert packed(client, request).json() == client.send(request).json()


def test_json(client: httpx.Client) -> None:
    request = client.build_request("POST", "/analyze-audio", json={"audio_url": "ftp://example.org/a.wav"})
    assert packed(client, request).status_code == client.send(request).status_code


def test_sound_without_a_container(client: httpx.Client) -> None:
    request = client.build_request("POST", "/upload_audio", content=pcm(heartbeat()))
    assert packed(client, request).text == client.send(request).text


def test_a_bomb(small_client: httpx.Client) -> None:
    request = small_client.build_request("POST", "/api/detect-gender", files={"audio": b"\0" * (64 << 20)})
    assert_error(packed(small_client, request), 413)


def test_another_compression_is_refused_with_words(client: httpx.Client) -> None:
    headers = {"content-encoding": "br", "content-type": "application/octet-stream"}
    assert_error(client.post("/upload_audio", content=b"\x1b\x00\xf8", headers=headers), 415, "br")
