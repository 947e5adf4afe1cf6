"""The built bento: served by its tag it answers as the source tree does, and it ends as it should."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.heart_bytes import heartbeat, pcm
from tests.support.http_site import ok
from tests.support.served import BENTOML, KEY, ROOT, Bundle, serve
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

DECIMAL = re.compile(r"\d+\.\d+(?:e-\d+)?")
OTHER_ORDER = 2e-4  # of sums in float32: a lone batch has more threads than one beside others


@pytest.fixture(scope="module")
def built(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A BentoML home with the models and the built bento, and its tag."""
    home = tmp_path_factory.mktemp("home") / "bentoml"
    shutil.copytree(store, home, copy_function=os.link)
    variables = {**os.environ, "BENTOML_HOME": str(home)}
    command = [BENTOML, "build", "--output", "tag"]
    made = subprocess.run(command, cwd=ROOT, env=variables, text=True, capture_output=True, timeout=300, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return home, made.stdout.strip().splitlines()[-1].removeprefix("__tag__:")


@pytest.fixture(scope="module")
def bento(built: tuple[Path, str]) -> Iterator[Bundle]:
    """The bento, served."""
    home, tag = built
    with serve(home, {"LOG_DIR": "logs", "DATA_DIR": "data"}, target=tag) as running:
        yield running


def test_the_bento_holds_no_code_of_training_and_no_tests(built: tuple[Path, str]) -> None:
    home, tag = built
    shipped = {path.relative_to(home) for path in (home / "bentos" / tag.replace(":", "/") / "src").rglob("*.py")}
    folders = {path.parts[4] for path in shipped}
    assert "models" in folders
    assert not folders & {"training", "tests", "notebooks", "benchmarks"}


def answers(bundle: Bundle, voice: bytes, face: bytes, url: str) -> list[Any]:
    """All five answers of a bundle."""
    encoded = base64.b64encode(voice).decode()
    body = {"language": "Hindi", "audioFormat": "flac", "audioBase64": encoded}
    with bundle.client() as client:
        given = [
            client.post("/api/detect-gender", files={"audio": voice}),
            client.post("/api/gender", files={"image": face}),
            client.post("/upload_audio", content=pcm(heartbeat())),
            client.post("/analyze-audio", json={"audio_url": url}),
            client.post("/api/voice-detection", json=body, headers={"x-api-key": KEY}),
        ]
    assert [answer.status_code for answer in given] == [200] * 5, [answer.text for answer in given]
    return [answer.text for answer in given]


def test_it_answers_as_the_source_tree(
    bento: Bundle, bundle: Bundle, site: LocalSite, voice: bytes, face: bytes
) -> None:
    url = site.add_file("/bento.flac", voice)
    built, source = (" ".join(answers(one, voice, face, url)) for one in (bento, bundle))
    assert DECIMAL.sub("", built) == DECIMAL.sub("", source)
    numbers = [[float(number) for number in DECIMAL.findall(text)] for text in (built, source)]
    assert numbers[0] == pytest.approx(numbers[1], abs=OTHER_ORDER)


def test_its_files_lie_where_it_was_started_and_not_in_the_store(bento: Bundle, built: tuple[Path, str]) -> None:
    """BentoML starts the processes of a bento in its folder within the store."""
    with bento.client() as client:
        assert client.post("/upload_audio", content=pcm(heartbeat())).status_code == 200
    started_in = bento.folder / "tmp"
    assert (started_in / "data" / "data.json").is_file()
    assert (started_in / "logs" / "audio_api.log").stat().st_size > 0
    source = bento.folder / "bentoml" / "bentos" / built[1].replace(":", "/") / "src"
    assert source.is_dir()
    assert not {"data", "logs"} & {path.name for path in source.iterdir()}


def test_it_has_its_pages_and_documents(bento: Bundle) -> None:
    with bento.client() as client:
        for path in (
            "/ui",
            "/ui/page/lit-html.js",
            "/ui/examples/mixed.flac",
            "/ui/cards/heart_sound",
            "/docs",
            "/docs.json",
            "/metrics",
            "/readyz",
        ):
            assert client.get(path).status_code == 200, path
        assert "<html" in client.get("/", headers={"accept": "text/html"}).text.lower()
        assert all(model["figures"] for model in client.get("/v1/models").json()["models"])


def test_it_has_no_training_code_data_or_tests(built: tuple[Path, str]) -> None:
    home, tag = built
    source = home / "bentos" / tag.replace(":", "/") / "src"
    names = {path.relative_to(source).parts[0] for path in source.rglob("*") if path.is_file()}
    assert "service.py" in names
    assert not names & {"tests", "notebooks", "benchmarks", ".venv", ".bentoml", "data", "logs", ".env", ".git"}
    assert sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) < 5 << 20


def test_termination_answers_what_is_in_flight(bento: Bundle, site: LocalSite, voice: bytes) -> None:
    """SIGTERM while a download is under way, which its runner has not seen yet."""
    asked = threading.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(2)
        writer.write(ok(voice))

    url = site.add("/while-ending.flac", slow)

    def ask() -> httpx.Response:
        with bento.client() as client:
            return client.post("/analyze-audio", json={"audio_url": url})

    with ThreadPoolExecutor(1) as crowd:
        answer = crowd.submit(ask)
        assert asked.wait(30)
        assert bento.stop() == 0
        assert answer.result(60).status_code == 200, answer.result().text
    assert not bento.workers("AudioScene")
