"""Clients that others generate: BentoML's own, and those that ``make clients`` makes of the OpenAPI document.

Every answer is compared with what the file truly is.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import os
import subprocess
import sys
from typing import Any

import bentoml
import httpx
import pytest

from tests.support.audio_bytes import tone, wav
from tests.support.served import DATA, KEY, ROOT, Bundle
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served


VOICE = DATA / "voices" / "female_1.flac"
FACE = DATA / "faces" / "male_1.jpg"
HEART = DATA / "hearts" / "murmur_1.flac"


@pytest.fixture
def url(site: LocalSite) -> str:
    """Where noise can be downloaded."""
    return site.add_file("/client.flac", (DATA / "scenes" / "noise_1.flac").read_bytes())


def check(answers: dict[str, Any]) -> None:
    """The five answers, as JSON: of a woman's voice, a man's face, a murmur, noise and a synthesiser."""
    assert [item["label"] for item in answers["voice_gender"]] == ["female", "male"]
    assert answers["face_gender"]["predictions"]["class"] == "male"
    assert answers["heart_sound"]["class"] == "Murmur"
    assert answers["audio_scene"]["data"]["classification"] == "noise"
    assert answers["voice_detection"]["classification"] == "AI_GENERATED"


def voice_request() -> dict[str, str]:
    audio = base64.b64encode((DATA / "ai_voice" / "ai_ta_espeak.mp3").read_bytes()).decode()
    return {"language": "Tamil", "audioFormat": "mp3", "audioBase64": audio}


def test_bentoml_client(bundle: Bundle, url: str) -> None:
    with bentoml.SyncHTTPClient(bundle.url, token=KEY) as client:
        check(
            {
                "voice_gender": client.voice_gender(audio=VOICE),
                "face_gender": client.face_gender(image=FACE),
                "heart_sound": client.heart_sound(audio=HEART),
                "audio_scene": client.audio_scene(audio_url=url),
                "voice_detection": client.voice_detection(request=voice_request()),
            }
        )


@pytest.mark.anyio
async def test_asynchronous_bentoml_client(bundle: Bundle, url: str) -> None:
    client = bentoml.AsyncHTTPClient(bundle.url, token=KEY)
    async with client:
        names = ["voice_gender", "face_gender", "heart_sound", "audio_scene", "voice_detection"]
        answers = await asyncio.gather(
            client.voice_gender(audio=VOICE),
            client.face_gender(image=FACE),
            client.heart_sound(audio=HEART),
            client.audio_scene(audio_url=url),
            client.voice_detection(request=voice_request()),
        )
    check(dict(zip(names, answers, strict=True)))


def test_the_key_is_asked_of_bentoml_clients_too(bundle: Bundle) -> None:
    refused = pytest.raises(bentoml.exceptions.BentoMLException, match="key")
    with bentoml.SyncHTTPClient(bundle.url) as client, refused:
        client.voice_detection(request=voice_request())


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


# How the line of each question begins, by what is asked about: the files of ``media/assets/examples``.
TRUE = {
    "voice gender": "male ",
    "face gender": "female ",
    "heart sound": "Normal, ",
    "audio scene": "music ",
    "AI voice": "HUMAN ",
}


def check_lines(answers: dict[str, str], more: dict[str, str]) -> None:
    """Every line of an example tells the truth."""
    true = TRUE | more
    assert answers.keys() == true.keys()
    assert {name: line[: len(true[name])] for name, line in answers.items()} == true


@pytest.mark.parametrize("name", ["example.py", "example_async.py"])
def test_the_examples_with_bentoml_clients(bundle: Bundle, name: str) -> None:
    answers = run_example(bundle, sys.executable, f"clients/bentoml/{name}")
    several = answers.pop("several", None)
    assert several == ("['speech', 'music']" if name == "example.py" else None)
    assert answers.keys() == TRUE.keys()
    found = {question: ast.literal_eval(line) for question, line in answers.items()}
    assert found["voice gender"][0]["label"] == "male"
    assert found["face gender"]["predictions"]["class"] == "female"
    assert found["heart sound"]["class"] == "Normal"
    assert found["audio scene"]["data"]["classification"] == "music"
    assert found["AI voice"]["classification"] == "HUMAN"


def test_the_generated_python_client(made_clients: None, bundle: Bundle) -> None:
    answers = run_example(bundle, sys.executable, "clients/python/example.py")
    check_lines(answers, {"several": "['male', 'male']"})


def test_the_types_of_the_generated_python_client_fit_the_example(made_clients: None) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "clients/python/example.py"]
    variables = {**os.environ, "MYPYPATH": "clients/python"}
    run = subprocess.run(command, cwd=ROOT, env=variables, text=True, capture_output=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout


def test_the_generated_typescript_client(made_clients: None, bundle: Bundle) -> None:
    answers = run_example(bundle, "node", "clients/typescript/dist/example.js")
    check_lines(answers, {"several": "music,speech", "with a wrong key": "403 Invalid API key provided"})
