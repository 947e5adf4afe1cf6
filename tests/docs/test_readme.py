"""The README says what is true: its commands run, its output is what is served, its names exist."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from api.app import build_app
from core.settings import runner_table, table
from models import registry
from tasks.names import FURTHER
from tests.support import badges
from tests.support.markdown import Block, blocks
from tests.support.redis_server import free_port
from tests.support.served import KEY, ROOT, START_S, descendants, environment, wait_for

PAGE = ROOT / "README.md"
README = PAGE.read_text()
ADDRESS = re.compile(r"(localhost|127\.0\.0\.1):3000")
STARTS = ("make serve", "API_KEY=secret make serve")  # what keeps running, and is started for all the others


def commands(block: Block) -> list[tuple[str, str]]:
    """Commands of a console block, each with the output that is shown; a block of ``sh`` is one command."""
    if block.language == "sh":
        return [(block.text, "")]
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1]) for part in parts]


COMMANDS = [
    (command, output)
    for block in blocks(PAGE, "sh", "console")
    for command, output in commands(block)
    if command not in STARTS
]


@dataclass(frozen=True)
class ServedModel:
    """What ``make serve`` made.

    Attributes:
        port: Where it listens.
        variables: The environment that it was started with.
    """

    port: int
    variables: dict[str, str]

    def run(self, *command: str, text: str | None = None) -> str:
        """Runs a command in the root of the project, with the programs of its virtual environment; gives its output."""
        run = subprocess.run(
            command, cwd=ROOT, env=self.variables, input=text, text=True, capture_output=True, check=False, timeout=100
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def here(self, text: str) -> str:
        """A command with the port that is listened on."""
        return ADDRESS.sub(rf"\1:{self.port}", text)


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[ServedModel]:
    """The bundle, started by the README's own command."""
    with tempfile.TemporaryDirectory(prefix="bundle-", ignore_cleanup_errors=True) as name:
        yield from started(store, Path(name))


def started(store: Path, folder: Path) -> Iterator[ServedModel]:
    """The same, in a folder for its data, logs, sockets and store."""
    assert all(f"`{command}`" in README or f"$ {command}\n" in README for command in STARTS)
    shutil.copytree(store, folder / "bentoml", copy_function=os.link)
    port = free_port()
    variables = environment(folder, port, {"VENV": sys.prefix})
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    command = next(command for command in STARTS if "API_KEY" in command)
    with (folder / "serve.log").open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT
        )

    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
        assert process.poll() is None, (folder / "serve.log").read_text()
        return False

    try:
        wait_for(ready, START_S, why=lambda: (folder / "serve.log").read_text()[-4000:])
        yield ServedModel(port, variables)
    finally:
        for pid in (process.pid, *descendants(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        process.wait(60)


def parsed(line: str) -> Any:
    """A line of JSON, its numbers in a form that bears another machine's rounding."""
    found = json.loads(line)
    numbers = {name: pytest.approx(value, abs=1e-3) for name, value in found.items() if isinstance(value, float)}
    maps = {name: pytest.approx(value, abs=1e-3) for name, value in found.items() if isinstance(value, dict)}
    return found | numbers | maps


@pytest.mark.served
@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command[:40].strip() for command, _ in COMMANDS])
def test_every_command_runs(served: ServedModel, command: str, output: str) -> None:
    script = served.here(command).replace("curl ", "curl -sS --fail-with-body ")
    printed = served.run("bash", "-ec", script)
    assert printed
    shown = output.splitlines()
    assert [json.loads(line) for line in printed.splitlines()[: len(shown)]] == [parsed(line) for line in shown]


@pytest.mark.served
@pytest.mark.parametrize("block", blocks(PAGE, "python"), ids=lambda block: block.text.split()[-1])
def test_every_piece_of_python_runs(served: ServedModel, block: Block) -> None:
    assert "male" in served.run(sys.executable, "-", text=served.here(block.text))


@pytest.mark.served
def test_the_output_on_its_first_screen_is_what_is_served(client: httpx.Client) -> None:
    shown = json.loads(README.split("```json\n")[1].split("```")[0])
    answer = client.post("/api/detect-gender", files={"audio": (ROOT / "tests/data/voices/male_1.flac").read_bytes()})
    assert [item["label"] for item in answer.json()] == [item["label"] for item in shown]
    assert [item["score"] for item in answer.json()] == pytest.approx([item["score"] for item in shown], abs=1e-3)


def shape(value: Any) -> Any:
    """What an answer is made of: names and kinds, and the words that are not free text."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return (
        value if isinstance(value, str) and value in {"success", "female", "male", "music", "Normal"} else type(value)
    )


@pytest.mark.served
def test_the_bodies_that_it_shows_are_those_of_the_routes(client: httpx.Client) -> None:
    rows = re.findall(
        r"^\| `(/[\w/-]+)` \| (.*) \|$", README.split("<details>")[1].split("</details>")[0], re.MULTILINE
    )
    shown = {route: json.loads(re.findall(r"`([\[{].*?)`", text)[0]) for route, text in rows}
    data = ROOT / "tests" / "data"
    clip = base64.b64encode((data / "ai_voice" / "ai_ta_espeak.mp3").read_bytes()).decode()
    body = {"language": "Tamil", "audioFormat": "mp3", "audioBase64": clip}
    heart, json_only = (data / "hearts" / "normal_1.pcm").read_bytes(), {"accept": "application/json"}
    given = {
        "/api/detect-gender": {"files": {"audio": (data / "voices" / "male_1.flac").read_bytes()}},
        "/api/gender": {"files": {"image": (data / "faces" / "female_3.jpg").read_bytes()}},
        "/upload_audio": {"content": heart, "headers": json_only},
        "/analyze-audio": {"json": {"audio_url": "http://examples.invalid/music.flac"}},
        "/api/voice-detection": {"json": body, "headers": {"x-api-key": KEY}},
    }
    answers = {route: client.post(route, **asked).json() for route, asked in given.items()}  # type: ignore[arg-type]
    assert {route: shape(answer) for route, answer in answers.items()} == {
        route: shape(answer) for route, answer in shown.items()
    }


def test_its_first_screen_says_what_the_weights_may_be_used_for() -> None:
    shown, _, _ = README.partition("## Ask")[0].partition("<!-- figures: licences -->")[2].partition("<!-- end -->")
    assert all(f"| {spec.licence} |" in shown for spec in registry.specs().values()), "make evaluate writes the table"


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {block.language for block in blocks(PAGE)} <= {"sh", "console", "python", "json"}


def test_targets_and_modules_in_the_text_exist() -> None:
    """What trains or tests for minutes is not run here; ``make`` and Python must know it."""
    targets = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z]+)", README))
    assert {"serve", "test", "evaluate", "clients", "save", "build", "image", "up", "down"} <= targets
    for target in targets:
        command = ["make", "-n", target, f"VENV={sys.prefix}"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    modules = set(re.findall(r"`?python -m ([\w.]+)", README))
    assert {"cli", "models.save", "training.voice_gender", "training.protocol"} <= modules
    assert all(importlib.util.find_spec(module) for module in modules)


def test_the_table_of_settings_is_that_of_the_class() -> None:
    for part in (table(), runner_table()):
        assert part in README, "python -m core.settings prints the tables"


def test_every_model_has_its_card_and_its_terms_here() -> None:
    for name in registry.specs():
        assert f"(models/{name}/CARD.md)" in README
        assert (ROOT / "models" / name / "CARD.md").exists()


@pytest.mark.parametrize(
    "page",
    [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("*/README.md"))],
    ids=lambda path: path.stem,
)
def test_links_lead_somewhere(page: Path) -> None:
    """Files that are there, and headings of the same page."""
    text = page.read_text()
    headings = {
        re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("http"):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_file_and_folder_it_names_exists() -> None:
    folders = [path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    named = set(re.findall(rf"(?:@|`|source )((?:{'|'.join(folders)})/[\w/.-]*)", README))
    assert len(named) > 20
    assert not {name for name in named if not (ROOT / name).exists()}


def test_every_folder_is_on_the_map() -> None:
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True, timeout=60).stdout
    folders = {name.split("/")[0] for name in listed.splitlines() if "/" in name and not name.startswith(".")}
    assert not {folder for folder in folders if f"\n| `{folder}/` |" not in README}


def test_every_route_it_names_is_in_the_document() -> None:
    paths = set(build_app().openapi()["paths"])
    named = set(re.findall(r"`(?:POST|GET) (/[\w/-]*)`", README))
    assert named
    assert named <= paths


def test_the_picture_names_the_runners_of_the_five_and_loads_nothing() -> None:
    text = (ROOT / "docs" / "architecture.svg").read_text()
    shown = "".join(ElementTree.fromstring(text).itertext())
    further = {name for models in FURTHER.values() for name in models}
    assert all(spec.runner in shown for name, spec in registry.specs().items() if name not in further)
    assert not re.search(r"(?:href|src|url)\s*[=(]\s*[\"']?(?:https?:|//)", text)


def test_badges_are_those_of_what_ci_runs() -> None:
    """``python -m tests.support.badges`` writes them."""
    assert badges.PICTURE.read_text() == badges.picture()
    assert badges.CHECKS.keys() == set(badges.steps())
    assert badges.PICTURE.relative_to(ROOT).as_posix() in (ROOT / "README.md").read_text().split("## ")[0]
    assert ElementTree.fromstring(badges.picture()).get("role") == "img"
