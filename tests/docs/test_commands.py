"""What the commands of the Makefile say to a person: what is missing, what is wrong, and what comes next."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from models import registry
from tests.support.redis_server import free_port
from tests.support.served import ROOT, START_S, TOGETHER, Bundle, environment, wait_for

NEED_DATA = ["training.evaluate", "training.study.run", "training.voice_gender"]


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs make with the virtual environment of the tests."""
    command = ["make", "--no-print-directory", f"VENV={sys.prefix}", *arguments]
    settings = {**os.environ, **variables}
    return subprocess.run(command, cwd=ROOT, env=settings, text=True, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("module", NEED_DATA)
def test_a_command_whose_data_is_missing_says_so_in_one_line(tmp_path: Path, module: str) -> None:
    variables = {**os.environ, "DATASETS_DIR": str(tmp_path / "none"), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", module]
    run = subprocess.run(command, cwd=ROOT, env=variables, text=True, capture_output=True, check=False, timeout=120)
    assert run.returncode == 2, run.stderr
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'none'} is missing: DATASETS_DIR or --data names the folder")
    assert "python -m training.data.rebuild" in line


def test_a_set_that_is_missing_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.evaluate", "face_gender", "--data", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=120)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'face_gender' / 'manifest.csv'} is missing: ")
    assert "Traceback" not in run.stderr


def test_fetch_without_a_model_says_how() -> None:
    run = make("fetch", "MODEL=")
    assert run.returncode == 2
    assert run.stderr.splitlines()[0].startswith("error: say which model: make fetch MODEL=voice_gender")
    assert "usage" not in run.stderr


def test_what_contributors_are_told_to_run_is_there() -> None:
    """Targets of the Makefile, files and folders; and the hooks run as they stand."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    targets = {name for line in re.findall(r"\bmake ([a-z -]+)", page) for name in line.split()}
    assert {"lint", "types", "test", "openapi", "lock"} <= targets
    for name in re.findall(r"`([\w/.]+(?:/|\.py))`", page):
        assert "NAME" in name or (ROOT / name).exists(), name
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        program, *arguments = hook["entry"].split()
        assert program.startswith(".venv/bin/")
        command = [f"{sys.prefix}/bin/{Path(program).name}", *arguments]
        command += ["core/version.py"] if hook.get("pass_filenames", True) else ["--version"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="bundle-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def test_a_port_that_is_taken_is_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        variables = environment(folder, port, {"PYTHONPATH": str(ROOT)})
        command = [sys.executable, "-m", "cli", "serve"]
        run = subprocess.run(
            command, cwd=folder, env=variables, text=True, capture_output=True, check=False, timeout=90
        )
    assert run.returncode == 1
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith(
        f"error: port {port} of 127.0.0.1 is in use: end what listens there, or take another: "
    )


@pytest.mark.served
@pytest.mark.parametrize("key", ["", "secret"])
def test_a_server_that_is_ready_greets_with_three_lines(store: Path, folder: Path, key: str) -> None:
    shutil.copytree(store, folder / "bentoml", copy_function=os.link)
    port = free_port()
    variables = environment(folder, port, TOGETHER | {"PYTHONPATH": str(ROOT), "API_KEY": key})
    with (folder / "serve.log").open("wb") as log, (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "serve"], cwd=folder / "tmp", env=variables, stdout=out, stderr=log
        )
    bundle = Bundle(folder, port, process)
    try:
        bundle.wait_until_ready()
        wait_for(lambda: "/api/voice-detection" in (folder / "out").read_text(), START_S)
        *saved, listens, playground, keys = (folder / "out").read_text().splitlines()
        assert len([line for line in saved if re.fullmatch(r"\w+:\w{16}", line)]) == len(saved) == len(registry.specs())
        assert listens == f"Listening on {bundle.url}, documents at {bundle.url}/docs"
        assert playground == f"Playground: {bundle.url}/ui"
        if key:
            assert keys == "/api/voice-detection: callers with the key"
        else:
            assert keys.startswith("Not configured: API_KEY, so /api/voice-detection refuses every caller")
        assert bundle.stop() == 0
    finally:
        bundle.end()
    assert process.returncode == 0
