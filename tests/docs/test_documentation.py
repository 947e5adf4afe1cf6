"""What ``/docs`` shows can be sent as it is."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import build_app
from api.openapi import ADDRESS
from media.examples import MEDIA_TYPES
from models import registry
from tests.support.served import KEY, ROOT, Bundle
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

OPERATIONS = [
    (method, path, operation)
    for path, methods in build_app().openapi()["paths"].items()
    for method, operation in methods.items()
]
COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def body(operation: dict[str, Any]) -> dict[str, Any]:
    """The media types of an operation's request."""
    found: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    return found


def test_every_question_has_an_example() -> None:
    for method, path, operation in OPERATIONS:
        if method == "post":
            assert COMMANDS.search(operation["description"]) or "example" in body(operation)["application/json"], path


@pytest.mark.parametrize(
    ("path", "commands"),
    [(path, found[1]) for _, path, operation in OPERATIONS if (found := COMMANDS.search(operation["description"]))],
)
def test_commands_of_the_document(bundle: Bundle, tmp_path: Path, path: str, commands: str) -> None:
    assert path in commands
    script = commands.replace(ADDRESS, bundle.url).replace("curl ", "curl -sS --fail-with-body ")
    run = subprocess.run(["bash", "-ec", script], cwd=tmp_path, text=True, capture_output=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert any(label in run.stdout for spec in registry.specs().values() for label in spec.classes)


@pytest.mark.parametrize(
    ("path", "example"),
    [
        (path.replace("{question}", "audio-scene"), media["example"])
        for _, path, operation in OPERATIONS
        for media in body(operation).values()
        if "example" in media
    ],
)
def test_bodies_of_the_document(client: httpx.Client, path: str, example: Any) -> None:
    response = client.post(path, json=example, headers={"x-api-key": KEY})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", [path for method, path, _ in OPERATIONS if method == "get"])
def test_pages_of_the_document(client: httpx.Client, path: str) -> None:
    client.post("/upload_audio", content=(ROOT / "media/assets/examples/heart.pcm").read_bytes())
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("name", sorted(MEDIA_TYPES))
def test_example_files(client: httpx.Client, name: str) -> None:
    response = client.get(f"/examples/{name}")
    assert response.headers["content-type"] == MEDIA_TYPES[name]
    assert response.content == (ROOT / "media/assets/examples" / name).read_bytes()


@pytest.mark.parametrize("name", ["README.md", "none.flac", "..%2fREADME.md"])
def test_nothing_else_is_served_as_an_example(client: httpx.Client, name: str) -> None:
    assert_error(client.get(f"/examples/{name}"), 404)


def test_only_the_example_itself_needs_no_network(client: httpx.Client) -> None:
    """Another name below ``examples.invalid`` is looked up as any other, and no host has it."""
    response = client.post("/analyze-audio", json={"audio_url": "http://examples.invalid/other.flac"})
    assert response.status_code in {400, 502}
    assert json.loads(response.text)["status"] == "error"
