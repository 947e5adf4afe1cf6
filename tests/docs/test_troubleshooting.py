"""The README's troubleshooting quotes what is really printed or answered."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import bentoml
import httpx
import pytest

from cli.serve import port_problem
from core.errors import InsufficientStorage, Unavailable
from media.examples import read
from models import registry, save
from models.messages import HeartResult
from models.store import WeightsError, verify
from scheduling.runner_client import RunnerClient
from storage.latest import LatestResult
from tests.support.audio_bytes import speech, tone, wav
from tests.support.crowd import too_many
from tests.support.served import BENTOML, DATA, ROOT, Bundle, environment

pytestmark = pytest.mark.served

SECTION = (ROOT / "README.md").read_text().split("## Troubleshooting")[1].split("\n## ")[0]
QUOTED = re.findall(r"^\| `([^`]+)`", SECTION, re.MULTILINE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="bundle-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def failing_start(folder: Path, port: int, **settings: str) -> str:
    """What a server prints that cannot start."""
    variables = environment(folder, port, settings) | {"PYTHONPATH": str(ROOT)}
    command = [BENTOML, "serve", "service:MediaClassifier"]
    run = subprocess.run(command, cwd=folder, env=variables, text=True, capture_output=True, check=False, timeout=90)
    assert run.returncode != 0
    return run.stdout + run.stderr


def test_every_line_is_provoked_here() -> None:
    source = Path(__file__).read_text()
    assert len(QUOTED) >= 12
    assert not [line for line in QUOTED if source.count(line) == 0]


def test_a_wrong_setting(folder: Path) -> None:
    shown = failing_start(folder, 3000, PORT="http")
    assert "configuration error: PORT: Input should be a valid integer" in shown


def test_a_port_that_is_taken() -> None:
    """``tests/docs/test_commands.py`` starts the command; here only the words are compared."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        problem = port_problem("127.0.0.1", taken.getsockname()[1])
    assert "is in use: end what listens there, or take another" in str(problem)


def test_an_empty_store(folder: Path) -> None:
    assert "Model audio_scene:latest could not be found locally" in failing_start(folder, 3000)


def test_a_damaged_weight_file(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "voice_gender" / "weights"
    shutil.copytree(registry.weights("voice_gender"), damaged)
    (damaged / "head.npz").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    monkeypatch.setattr(registry, "weights", lambda _: damaged)
    assert save.main(["voice_gender"]) == 1
    assert "error: voice_gender: head.npz is not the file that was exported" in capsys.readouterr().err


def test_a_saved_model_that_is_damaged(store: Path, tmp_path: Path) -> None:
    """``tests/serving/test_model_entries.py`` has a runner open one; here only the words are compared."""
    entry = tmp_path / "entry"
    shutil.copytree(bentoml.models.get("voice_gender:latest").path, entry)
    (entry / "openvino" / "model.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=re.escape("is damaged: not as it was saved: openvino/model.bin")):
        verify("voice_gender:1", entry)


def test_a_result_that_cannot_be_kept(tmp_path: Path) -> None:
    """``tests/contract/test_c3_heart_sound.py`` asks a server; here only the words are compared."""
    (tmp_path / "data").write_text("a file in place of the folder")
    result = HeartResult.model_validate({"class": "Normal", "confidence": 98.5})
    with pytest.raises(InsufficientStorage, match="the result cannot be kept") as caught:
        asyncio.run(LatestResult(tmp_path / "data").store(result))
    assert f"| `the result cannot be kept` ({caught.value.status})" in SECTION


Ask = Callable[[httpx.Client], httpx.Response]
VOICE = read("voice.flac")
ASKED: list[tuple[str, int, Ask]] = [
    ("Invalid API key provided", 403, lambda client: client.post("/api/voice-detection", json={})),
    (
        "the URL's host is not a public address",
        400,
        lambda client: client.post("/analyze-audio", json={"audio_url": "http://10.0.0.5/a.mp3"}),
    ),
    (
        "the URL's host name could not be resolved",
        502,
        lambda client: client.post("/analyze-audio", json={"audio_url": "http://nowhere.invalid/a.mp3"}),
    ),
    (
        "send the file as multipart/form-data under the key 'audio'",
        415,
        lambda client: client.post("/api/detect-gender", json={}),
    ),
    ("no file under the key 'audio'", 400, lambda client: client.post("/api/detect-gender", files={"file": VOICE})),
    (
        "the data is not audio in a known format",
        400,
        lambda client: client.post("/api/detect-gender", files={"audio": b"<!doctype html>"}),
    ),
    (
        "no face was found in the picture",
        422,
        lambda client: client.post("/api/gender", files={"image": (DATA / "faces/no_face.jpg").read_bytes()}),
    ),
    (
        "no speech was found in the recording",
        422,
        lambda client: client.post("/api/detect-gender", files={"audio": wav(tone(16_000, 3.0), 16_000)}),
    ),
    ("the body is larger than 32 MiB", 413, lambda client: client.post("/upload_audio", content=bytes(33 << 20))),
]


@pytest.mark.parametrize(("words", "status", "ask"), ASKED, ids=[words for words, _, _ in ASKED])
def test_an_answer(client: httpx.Client, words: str, status: int, ask: Ask) -> None:
    answer = ask(client)
    assert answer.status_code == status
    assert words in answer.json()["message"]
    assert f"| `{words}` ({status})" in SECTION


def test_too_much_at_once(small_bundle: Bundle) -> None:
    file = wav(speech(5.0), 16_000)
    answers = too_many(small_bundle, lambda client: client.post("/api/detect-gender", files={"audio": file}))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert "model has more waiting than it can answer in time" in refused[0].json()["message"]


def test_a_runner_that_is_down() -> None:
    """``tests/serving/test_resilience.py`` stops a runner; here only the words are compared."""

    async def served() -> None:
        raise ConnectionRefusedError

    runner = RunnerClient("voice_gender", SimpleNamespace(to_async=SimpleNamespace(served=served)))
    with pytest.raises(Unavailable, match="model is not available at the moment"):
        asyncio.run(runner.served())
