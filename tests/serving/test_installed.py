"""``pip install .`` installs a command that answers and serves by itself, far from the source tree."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.version import VERSION
from tests.support.layout import bento_files
from tests.support.redis_server import free_port
from tests.support.served import DATA, ROOT, Bundle, environment


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with a virtual environment in ``venv``, in which the project alone is installed.

    What it needs is seen from the environment of the tests. The wheel is made of a copy of what git knows, so that
    nothing else of a developer's gets in.
    """
    with tempfile.TemporaryDirectory(prefix="bundle-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, text=True, capture_output=True, check=True, timeout=60,
        ).stdout  # fmt: skip
        for file in (file for file in listed.split("\0") if file and not file.startswith(("tests/", "notebooks/"))):
            if (ROOT / file).is_file():
                (folder / "source" / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, folder / "source" / file)
        venv.create(folder / "venv", with_pip=False)
        python = str(folder / "venv" / "bin" / "python")
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            str(folder / "source"),
        ]
        made = subprocess.run(command, text=True, capture_output=True, check=False, timeout=280)
        assert made.returncode == 0, made.stdout + made.stderr
        shutil.rmtree(folder / "source")
        (site_packages(folder) / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        yield folder


def site_packages(place: Path) -> Path:
    """Where the project is installed."""
    (found,) = place.glob("venv/lib/python*/site-packages")
    return found


def variables(place: Path, port: int = 1) -> dict[str, str]:
    """The environment of a user who has nothing of the source tree."""
    own = environment(place, port, {"HOME": str(place / "home"), "XDG_CACHE_HOME": str(place / "cache")})
    return {name: value for name, value in own.items() if name != "PYTHONPATH"}


def run(place: Path, *arguments: str, stdin: bytes = b"") -> str:
    command = [str(place / "venv" / "bin" / "mediaclassify"), *arguments]
    (place / "empty").mkdir(exist_ok=True)
    ended = subprocess.run(
        command, cwd=place / "empty", env=variables(place), input=stdin, capture_output=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert list((place / "empty").iterdir()) == []
    return ended.stdout.decode()


def test_it_has_the_models_and_nothing_that_trains_or_tests(place: Path) -> None:
    names = {path.name for path in site_packages(place).iterdir()}
    assert {"api", "cli", "core", "models", "tasks", "service.py"} <= names
    served = {file for file in bento_files() if "/" in file and "/weights/" not in file}
    assert {file for file in served if not (site_packages(place) / file).exists()} == set()
    assert not names & {"training", "tests", "notebooks", "benchmarks", "deploy", "clients"}
    assert run(place, "--version") == f"mediaclassify {VERSION}\n"


def test_it_answers(place: Path) -> None:
    """By a model of its own, by one on the shared encoder, by the ensemble, and from standard input."""
    assert '"answer": "female"' in run(place, "face-gender", str(DATA / "faces" / "female_1.jpg"))
    voice = (DATA / "voices" / "male_1.flac").read_bytes()
    (row,) = csv.DictReader(io.StringIO(run(place, "voice-gender", "-", "-f", "csv", stdin=voice)))
    assert row["answer"] == "male"
    assert "AI_GENERATED" in run(place, "ai-voice", str(DATA / "ai_voice" / "ai_ta_espeak.mp3"), "-t")


@pytest.mark.served
def test_it_serves(place: Path) -> None:
    port = free_port()
    (place / "out").mkdir()
    with (place / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [str(place / "venv" / "bin" / "mediaclassify"), "serve"], cwd=place / "out",
            env=variables(place, port), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    bundle = Bundle(place, port, process)
    try:
        bundle.wait_until_ready()
        with bundle.client() as client:
            answer = client.post("/api/detect-gender", files={"audio": (DATA / "voices" / "male_1.flac").read_bytes()})
            assert answer.json()[0]["label"] == "male"
            assert client.get("/ui").status_code == client.get("/docs").status_code == 200
        assert bundle.stop() == 0
    finally:
        bundle.end()
