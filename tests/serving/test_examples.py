"""Every example is answered rightly, wherever it is shown: playground, documentation, README, clients."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.ui.routes import EXAMPLES, LIST
from media.examples import MEDIA_TYPES, MUSIC_URL, path
from tests.support.served import DATA, KEY

pytestmark = pytest.mark.served

SHOWN: list[dict[str, Any]] = json.loads((EXAMPLES / LIST).read_text())

# What the files of the documentation are; its README says so in words.
DOCUMENTED = {
    "voice.flac": {"/api/detect-gender": "male", "/api/voice-detection": "HUMAN"},
    "voice.ogg": {"/api/detect-gender": "male", "/api/voice-detection": "HUMAN"},
    "music.flac": {"/analyze-audio": "music"},
    "face.jpg": {"/api/gender": "female", "/predict": "female"},
    "heart.pcm": {"/upload_audio": "Normal"},
}
# The files of README, clients and tests, by folder: the route that they are for, and what their names mean.
ROUTES = {
    "voices": "/api/detect-gender",
    "faces": "/api/gender",
    "hearts": "/upload_audio",
    "scenes": "/ui/ask/audio-scene",
    "ai_voice": "/api/voice-detection",
}
MEANT = {"normal": "Normal", "murmur": "Murmur", "human": "HUMAN", "ai": "AI_GENERATED", "group": "male"}
FILES = [file for name in ROUTES for file in sorted((DATA / name).iterdir()) if file.suffix not in (".md", ".txt")]


def answered(client: httpx.Client, route: str, file: Path) -> str:
    """The class that a route answers with for a file."""
    data = file.read_bytes()
    if route == "/api/detect-gender":
        answer = client.post(route, files={"audio": data}).json()
        return str(answer[0]["label"])
    if route in ("/api/gender", "/predict"):
        return str(client.post(route, files={"image": data}).json()["predictions"]["class"])
    if route == "/upload_audio":
        return str(client.post(route, content=data, headers={"accept": "application/json"}).json()["class"])
    if route == "/api/voice-detection":
        body = {"language": "English", "audioFormat": file.suffix[1:], "audioBase64": base64.b64encode(data).decode()}
        return str(client.post(route, json=body, headers={"x-api-key": KEY}).json()["classification"])
    if route == "/analyze-audio":
        return str(client.post(route, json={"audio_url": MUSIC_URL}).json()["data"]["classification"])
    return str(last(client.post(route, content=data))["report"]["verdict"])


def last(response: httpx.Response) -> dict[str, Any]:
    """The last line of an answer of the playground."""
    found: dict[str, Any] = json.loads(response.text.splitlines()[-1])
    return found


@pytest.mark.parametrize("example", SHOWN, ids=[example["file"] for example in SHOWN])
def test_playground(client: httpx.Client, example: dict[str, Any]) -> None:
    data = (EXAMPLES / example["file"]).read_bytes()
    response = client.post(f"/ui/ask/{example['question']}", content=data, headers={"x-api-key": KEY})
    if "truth" in example:
        assert last(response)["report"]["verdict"] == example["truth"]
    else:
        assert (example["note"], response.status_code) == ("refused", 422)


@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_documentation(client: httpx.Client, name: str) -> None:
    for route, truth in DOCUMENTED[name].items():
        assert answered(client, route, path(name)) == truth, route


def test_answers_that_the_documentation_shows_are_those_of_its_examples(client: httpx.Client) -> None:
    operations = client.get("/docs.json").json()["paths"]
    shown = {
        route: operations[route]["post"]["responses"]["200"]["content"] for route in ("/upload_audio", "/analyze-audio")
    }
    assert shown["/upload_audio"]["application/json"]["example"]["class"] == DOCUMENTED["heart.pcm"]["/upload_audio"]
    assert shown["/upload_audio"]["text/plain"]["example"].startswith("Normal, ")
    scene = shown["/analyze-audio"]["application/json"]["example"]["data"]["classification"]
    assert scene == DOCUMENTED["music.flac"]["/analyze-audio"]
    asked = operations["/api/voice-detection"]["post"]
    request = asked["requestBody"]["content"]["application/json"]["example"]
    answer = client.post("/api/voice-detection", json=request, headers={"x-api-key": KEY}).json()
    said = asked["responses"]["200"]["content"]["application/json"]["example"]
    assert said["classification"] == answer["classification"] == "HUMAN"
    assert said["confidenceScore"] == pytest.approx(answer["confidenceScore"], abs=0.01)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_of_readme_and_clients(client: httpx.Client, file: Path) -> None:
    route = ROUTES[file.parent.name]
    kind = file.stem.split("_")[0]
    if kind == "no":
        assert client.post(route, files={"image": file.read_bytes()}).status_code == 422
    else:
        assert answered(client, route, file) == MEANT.get(kind, kind)
