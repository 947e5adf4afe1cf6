"""Clients that others generate: BentoML's own, and those that ``make clients`` makes of the OpenAPI document."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest

from tests.support.audio_bytes import tone, wav
from tests.support.served import KEY, ROOT, Bundle
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served


@pytest.fixture
def files(tmp_path: Path, voice: bytes, face: bytes) -> dict[str, Path]:
    """A voice and a face, as files with their proper names."""
    made = {"audio": tmp_path / "voice.flac", "image": tmp_path / "face.jpg"}
    made["audio"].write_bytes(voice)
    made["image"].write_bytes(face)
    return made


@pytest.fixture
def url(site: LocalSite, voice: bytes) -> str:
    """Where the voice can be downloaded."""
    return site.add_file("/client.flac", voice)


def check(answers: dict[str, Any]) -> None:
    """The five answers, as JSON."""
    assert {item["label"] for item in answers["voice_gender"]} == {"male", "female"}
    assert answers["face_gender"]["success"] is True
    assert set(answers["heart_sound"]) == {"class", "confidence"}
    assert answers["audio_scene"]["status"] == "success"
    assert answers["voice_detection"]["classification"] in {"AI_GENERATED", "HUMAN"}


def voice_request(files: dict[str, Path]) -> dict[str, str]:
    audio = base64.b64encode(files["audio"].read_bytes()).decode()
    return {"language": "English", "audioFormat": "flac", "audioBase64": audio}


def test_bentoml_client(bundle: Bundle, files: dict[str, Path], url: str) -> None:
    with bentoml.SyncHTTPClient(bundle.url, token=KEY) as client, client._temp_dir:
        check(
            {
                "voice_gender": client.voice_gender(audio=files["audio"]),
                "face_gender": client.face_gender(image=files["image"]),
                "heart_sound": client.heart_sound(audio=files["audio"]),
                "audio_scene": client.audio_scene(audio_url=url),
                "voice_detection": client.voice_detection(request=voice_request(files)),
            }
        )


@pytest.mark.anyio
async def test_asynchronous_bentoml_client(bundle: Bundle, files: dict[str, Path], url: str) -> None:
    client = bentoml.AsyncHTTPClient(bundle.url, token=KEY)
    async with client:
        names = ["voice_gender", "face_gender", "heart_sound", "audio_scene", "voice_detection"]
        answers = await asyncio.gather(
            client.voice_gender(audio=files["audio"]),
            client.face_gender(image=files["image"]),
            client.heart_sound(audio=files["audio"]),
            client.audio_scene(audio_url=url),
            client.voice_detection(request=voice_request(files)),
        )
    client._temp_dir.cleanup()  # which it leaves behind
    check(dict(zip(names, answers, strict=True)))


def test_the_key_is_asked_of_bentoml_clients_too(bundle: Bundle, files: dict[str, Path]) -> None:
    refused = pytest.raises(bentoml.exceptions.BentoMLException, match="key")
    with bentoml.SyncHTTPClient(bundle.url) as client, client._temp_dir, refused:
        client.voice_detection(request=voice_request(files))


def test_a_native_method_answers_as_its_route(client: httpx.Client, voice: bytes, face: bytes) -> None:
    for native, route, key, data in [
        ("/v1/voice-gender", "/api/detect-gender", "audio", voice),
        ("/v1/face-gender", "/api/gender", "image", face),
    ]:
        answers = [client.post(path, files={key: ("name", data)}) for path in (native, route)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()
        assert answers[0].headers["x-model"] == answers[1].headers["x-model"]


def test_the_native_heart_method_stores_its_result(client: httpx.Client) -> None:
    answer = client.post("/v1/heart-sound", files={"audio": ("a.wav", wav(tone(4_000, 3.0), 4_000))}).json()
    assert client.get("/").json() == answer


def run_example(bundle: Bundle, *command: str) -> dict[str, str]:
    """What an example prints, by what stands in front of the colon."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python")}
    run = subprocess.run(
        [*command, bundle.url, KEY], cwd=ROOT, env=variables, text=True, capture_output=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return dict(line.split(": ", 1) for line in run.stdout.splitlines())


QUESTIONS = {"voice gender", "face gender", "heart sound", "audio scene", "AI voice"}


@pytest.mark.parametrize("name", ["example.py", "example_async.py"])
def test_the_examples_with_bentoml_clients(bundle: Bundle, name: str) -> None:
    answers = run_example(bundle, sys.executable, f"clients/bentoml/{name}")
    assert set(answers) - {"several"} == QUESTIONS
    assert "'male'" in answers["voice gender"]
    assert "'music'" in answers["audio scene"]


def test_the_generated_python_client(made_clients: None, bundle: Bundle) -> None:
    answers = run_example(bundle, sys.executable, "clients/python/example.py")
    assert set(answers) == QUESTIONS | {"several"}
    assert answers["several"].startswith("['male'")
    assert answers["voice gender"].startswith("male ")
    assert answers["heart sound"].startswith("Normal, ")


def test_the_types_of_the_generated_python_client_fit_the_example(made_clients: None) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "clients/python/example.py"]
    variables = {**os.environ, "MYPYPATH": "clients/python"}
    run = subprocess.run(command, cwd=ROOT, env=variables, text=True, capture_output=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout


def test_the_generated_typescript_client(made_clients: None, bundle: Bundle) -> None:
    answers = run_example(bundle, "node", "clients/typescript/dist/example.js")
    assert set(answers) == QUESTIONS | {"several", "with a wrong key"}
    assert answers["several"] == "music,speech"
    assert answers["voice gender"].startswith("male ")
    assert answers["with a wrong key"] == "403 Invalid API key provided"
