"""``docs/adding-a-model.md`` is true: its files in a copy of the tree are served, and nothing else is edited."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bentoml
import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import browser
from tests.browser.panels import ask, click_example
from tests.support.audio_bytes import tone, wav
from tests.support.markdown import Block, blocks
from tests.support.served import ROOT, Bundle, serve
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

PAGE = ROOT / "docs" / "adding-a-model.md"


def file_name(block: Block) -> str:
    """The file that a block is, which its first line says in a comment."""
    return block.text.splitlines()[0].removeprefix("# ").removeprefix("<!-- ").removesuffix(" -->")


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
    for block in blocks(PAGE, "python", "markdown"):
        path = folder / file_name(block)
        assert not path.exists(), "only new files"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text.split("\n", 1)[1])
    return folder


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where keys are kept."""
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def key(tree: Path, key_file: Path) -> str:
    """A key for the sixth question alone."""
    add = [sys.executable, "-m", "cli", "keys", "add", "lab", "--questions", "loudness"]
    variables = {**os.environ, "KEY_STORE": str(key_file)}
    run = subprocess.run(add, cwd=tree, env=variables, text=True, capture_output=True, check=True, timeout=60)
    return run.stdout.strip()


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets with one for the sixth model: ten loud tones and ten quiet ones."""
    folder = tmp_path_factory.mktemp("datasets")
    (folder / "loudness").mkdir()
    lines = ["file,label,split,group_id"]
    for number in range(20):
        label, level = [("loud", 0.5), ("quiet", 0.001)][number % 2]
        (folder / "loudness" / f"{number}.wav").write_bytes(wav(level * tone(16_000, 1.0), 16_000))
        lines += [f"{number}.wav,{label},{split},{number}" for split in ("train", "val")]
    (folder / "loudness" / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def extended(
    tree: Path, store: Path, key: str, key_file: Path, datasets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bundle]:
    """The bundle with its sixth question and a store of keys: the page's commands, and the last one's server."""
    home = tmp_path_factory.mktemp("home") / "bentoml"
    shutil.copytree(store, home, copy_function=os.link)
    (block,) = blocks(PAGE, "sh")
    *commands, last = block.text.splitlines()
    assert last == "make serve"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {**os.environ, "BENTOML_HOME": str(home), "PATH": path, "DATASETS_DIR": str(datasets)}
    for command in commands:
        command = f"{command} VENV={sys.prefix}" if command.startswith("make") else command
        run = subprocess.run(
            ["bash", "-ec", command], cwd=tree, env=variables, text=True, capture_output=True, check=False, timeout=200
        )
        assert run.returncode == 0, run.stdout + run.stderr
    with serve(home, {"KEY_STORE": str(key_file)}, source=tree) as running:
        yield running


def test_it_is_served(extended: Bundle, key: str) -> None:
    with extended.client(headers={"x-api-key": key}) as client:
        for level, expected in [(0.5, "loud"), (0.001, "quiet")]:
            answer = client.post("/api/loudness", files={"audio": wav(level * tone(44_100, 1.0), 44_100)})
            assert answer.status_code == 200, answer.text
            assert answer.json()["loudness"] == expected
            assert answer.headers["x-model"].startswith("loudness:")
        assert_error(client.post("/api/loudness", files={"audio": b"words"}), 400, "not audio")
        assert client.get("/readyz").json()["models"]["loudness"] == "ready"
        assert 'model="loudness"' in client.get("/metrics").text


def test_its_samples_are_given_out_and_are_what_they_are_said_to_be(extended: Bundle, key: str) -> None:
    with extended.client(headers={"x-api-key": key}) as client:
        (panel,) = client.get("/ui/server").json()["further"]
        assert [example["truth"] for example in panel["examples"]] == ["loud", "quiet"]
        for example in panel["examples"]:
            sample = client.get(f"/examples/{example['file']}")
            assert sample.headers["content-type"] == "audio/wav"
            assert client.get(f"/ui/examples/{example['file']}").content == sample.content
            (item,) = client.post("/v1/classify/loudness", files={"file": sample.content}).json()["items"]
            assert item["prediction"] == example["truth"]
        assert "loud.wav" in client.get("/examples/nothing.wav").json()["message"]


def test_the_pages_show_its_question_and_its_card(extended: Bundle) -> None:
    with extended.client() as client:
        page = client.get("/", headers={"accept": "text/html"}).text
        assert "6 questions about" in page
        assert (
            page.index("Did a human or an AI") < page.index("Is this recording loud or quiet?") < page.index("</main>")
        )
        assert "/v1/classify/loudness -F file=@recording.wav" in page
        assert "20 validation clips" in client.get("/ui/cards/loudness").text


def test_every_address_of_it_needs_a_key(extended: Bundle) -> None:
    sound = wav(0.5 * tone(44_100, 1.0), 44_100)
    with extended.client() as client:
        for path in ("/api/loudness", "/v1/loudness", "/v1/classify/loudness"):
            assert_error(client.post(path, files={"audio": sound}), 403, "key")
        assert_error(client.post("/ui/ask/loudness", content=sound), 403, "key")


def test_it_is_asked_in_every_other_way(extended: Bundle, key: str, tree: Path, tmp_path: Path) -> None:
    """The uniform route, the catalogue, the playground and the command line have it from its ``SPEC``."""
    sound = wav(0.5 * tone(44_100, 1.0), 44_100)
    (tmp_path / "loud.wav").write_bytes(sound)
    with extended.client(headers={"x-api-key": key}) as client:
        (item,) = client.post("/v1/classify/loudness", files={"file": sound}).json()["items"]
        assert (item["prediction"], list(item["probabilities"])) == ("loud", ["quiet", "loud"])
        assert "loudness" in [model["name"] for model in client.get("/v1/models").json()["models"]]
        playground = client.post("/ui/ask/loudness", content=sound, headers={"accept": "application/json"})
        assert playground.json()["report"]["verdict"] == "loud"
    with bentoml.SyncHTTPClient(extended.url, token=key) as typed:
        answer = typed.classify_loudness(items=[{"base64": base64.b64encode(sound).decode()}])
        alone = typed.loudness(audio=tmp_path / "loud.wav")
    assert [item["prediction"] for item in answer["items"]] == ["loud"]
    assert alone == {**answer["items"][0], "name": ""}
    command = [sys.executable, "-m", "cli", "loudness", "--format", "json", str(tmp_path / "loud.wav")]
    run = subprocess.run(command, cwd=tree, text=True, capture_output=True, check=False, timeout=200)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["answer"] == "loud"
    run = subprocess.run([*command[:3], "--help"], cwd=tree, text=True, capture_output=True, check=True, timeout=60)
    assert "Is this recording loud or quiet?" in run.stdout


ASK_THE_GENERATED = """
import sys
from media_classification_client import AuthenticatedClient
from media_classification_client.api.loudness import loudness
from media_classification_client.models import LoudnessBody
from media_classification_client.types import File

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], prefix="", auth_header_name="x-api-key")
with open("models/loudness/samples/loud.wav", "rb") as sample:
    body = LoudnessBody(audio=File(payload=sample, file_name="loud.wav"))
    print(loudness.sync(client=client, body=body).loudness.value)
"""


def test_a_generated_client_asks_it(extended: Bundle, key: str, tree: Path) -> None:
    """The Python one as ``make clients`` makes it, of the document that ``make openapi`` wrote."""
    (line,) = re.findall(r"openapi-python-client (generate.*?)\n\n", (ROOT / "Makefile").read_text(), re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # of ruff, which formats what is generated
    program = [sys.executable, "-m", "openapi_python_client", *line.replace("\\\n", " ").split()]
    ask_it = [sys.executable, "-c", ASK_THE_GENERATED, extended.url, key]
    for command in (program, ask_it):
        variables = {**os.environ, "PATH": path, "PYTHONPATH": "clients/python"}
        run = subprocess.run(command, cwd=tree, env=variables, text=True, capture_output=True, check=False, timeout=200)
        assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip() == "loud"


@pytest.mark.browser
def test_the_playground_has_a_panel_for_it_with_a_field_for_the_key(extended: Bundle, key: str, tmp_path: Path) -> None:
    (tmp_path / "loud.wav").write_bytes(wav(0.5 * tone(44_100, 1.0), 44_100))
    with browser() as chromium:
        page = chromium.new_page(base_url=extended.url)
        page.goto("/ui#loudness")
        panel = page.get_by_role("tabpanel", name="Loudness", exact=True)
        panel.get_by_label("Choose files").set_input_files(tmp_path / "loud.wav")
        assert panel.get_by_role("heading", name="Is this recording loud or quiet?").is_visible()
        assert "needs an API key" in ask(panel).inner_text()
        panel.get_by_label("API key").fill(key)
        click_example(panel, "Quiet")  # the refusal may still be there
        expect(panel.locator(".answer")).to_contain_text("In truth: Quiet. The answer is right.", timeout=30_000)
        panel.get_by_label("Choose files").set_input_files(tmp_path / "loud.wav")
        panel.get_by_role("button", name="Ask", exact=True).click()
        expect(panel.locator(".verdict")).to_have_text("Loud", timeout=30_000)


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
    names = [file_name(block) for block in blocks(PAGE, "python")]
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", *command, *names], cwd=tree, text=True, capture_output=True, check=False, timeout=200
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_the_tests_of_documents_and_golden_answers_know_it(extended: Bundle, tree: Path) -> None:
    assert extended.process.poll() is None  # its commands have run
    files = ["docs/test_cards.py", "docs/test_readme.py", "unit/api/test_segments.py", "unit/models/test_golden.py"]
    chosen = "not on_the_map and (loudness or not no_probability_has_moved)"  # the tree is no Git repository
    command = [sys.executable, "-m", "pytest", "-m", "not served", "-k", chosen, *(f"tests/{file}" for file in files)]
    run = subprocess.run(command, cwd=tree, text=True, capture_output=True, check=False, timeout=280)
    assert run.returncode == 0, run.stdout + run.stderr
