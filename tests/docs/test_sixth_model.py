"""``docs/adding-a-model.md`` is true: its files in a copy of the tree are served, and nothing else is edited."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bentoml
import httpx
import pytest

from tests.support.audio_bytes import tone, wav
from tests.support.markdown import blocks
from tests.support.served import ROOT, Bundle, serve
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

PAGE = ROOT / "docs" / "adding-a-model.md"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree with the files of the page."""
    folder = tmp_path_factory.mktemp("tree")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    shown = subprocess.run(listed, cwd=ROOT, text=True, capture_output=True, check=True, timeout=60).stdout
    names = shown.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)  # the commands change some of them
    for block in blocks(PAGE, "python"):
        path = folder / block.text.splitlines()[0].removeprefix("# ")
        assert not path.exists(), "only new files"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text.split("\n", 1)[1])
    return folder


@pytest.fixture(scope="module")
def extended(tree: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """The bundle with its sixth question: the page's commands, but for the last, which serves it."""
    home = tmp_path_factory.mktemp("home") / "bentoml"
    shutil.copytree(store, home, copy_function=os.link)
    (block,) = blocks(PAGE, "sh")
    *commands, last = block.text.splitlines()
    assert last == "make serve"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {**os.environ, "BENTOML_HOME": str(home), "PATH": path}
    for command in commands:
        command = f"{command} VENV={sys.prefix}" if command.startswith("make") else command
        run = subprocess.run(
            ["bash", "-ec", command], cwd=tree, env=variables, text=True, capture_output=True, check=False, timeout=200
        )
        assert run.returncode == 0, run.stdout + run.stderr
    with serve(home, {}, source=tree) as running:
        yield running


def test_it_is_served(extended: Bundle) -> None:
    with extended.client() as client:
        for level, expected in [(0.5, "loud"), (0.001, "quiet")]:
            answer = client.post("/api/loudness", files={"audio": wav(level * tone(44_100, 1.0), 44_100)})
            assert answer.status_code == 200, answer.text
            assert answer.json()["loudness"] == expected
            assert answer.headers["x-model"].startswith("loudness:")
        assert_error(client.post("/api/loudness", files={"audio": b"words"}), 400, "not audio")
        assert client.get("/readyz").json()["models"]["loudness"] == "ready"
        assert 'model="loudness"' in client.get("/metrics").text


def test_it_is_asked_in_every_other_way(extended: Bundle, tree: Path, tmp_path: Path) -> None:
    """The uniform route, the catalogue, the playground and the command line have it from its ``SPEC``."""
    sound = wav(0.5 * tone(44_100, 1.0), 44_100)
    with extended.client() as client:
        (item,) = client.post("/v1/classify/loudness", files={"file": sound}).json()["items"]
        assert (item["prediction"], list(item["probabilities"])) == ("loud", ["quiet", "loud"])
        assert "loudness" in [model["name"] for model in client.get("/v1/models").json()["models"]]
        playground = client.post("/ui/ask/loudness", content=sound, headers={"accept": "application/json"})
        assert playground.json()["report"]["verdict"] == "loud"
    with bentoml.SyncHTTPClient(extended.url) as typed:
        answer = typed.classify_loudness(items=[{"base64": base64.b64encode(sound).decode()}])
    assert [item["prediction"] for item in answer["items"]] == ["loud"]
    (tmp_path / "loud.wav").write_bytes(sound)
    command = [sys.executable, "-m", "cli", "loudness", "--format", "json", str(tmp_path / "loud.wav")]
    run = subprocess.run(command, cwd=tree, text=True, capture_output=True, check=False, timeout=200)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["answer"] == "loud"


@pytest.mark.parametrize(
    "name",
    [
        "compose.yaml",
        "observability/prometheus/prometheus.yml",
        "kubernetes/base/kustomization.yaml",
        "kubernetes/base/api/deployment.yaml",
        "kubernetes/base/runner_settings.env",
        "kubernetes/base/runners/loudness/kustomization.yaml",
        "kubernetes/overlays/keda/scalers.yaml",
    ],
)
def test_it_is_deployed(extended: Bundle, tree: Path, name: str) -> None:
    assert extended.process.poll() is None  # its commands have run
    assert "loudness" in (tree / "deploy" / name).read_text()


def test_it_is_in_the_document(extended: Bundle, tree: Path) -> None:
    document = httpx.get(f"{extended.url}/docs.json").json()
    assert "/api/loudness" in document["paths"]
    assert document == json.loads((tree / "openapi.json").read_text())
    assert "/api/loudness" not in (ROOT / "openapi.json").read_text()


def test_the_code_of_the_page_is_in_the_style_of_the_project(tree: Path) -> None:
    names = [block.text.splitlines()[0].removeprefix("# ") for block in blocks(PAGE, "python")]
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", *command, *names], cwd=tree, text=True, capture_output=True, check=False, timeout=200
        )
        assert run.returncode == 0, run.stdout + run.stderr
