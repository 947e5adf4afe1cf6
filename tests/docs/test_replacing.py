"""The commands of ``docs/replacing-a-checkpoint.md``, with small checkpoints, one of them at a local hub."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from models import registry
from tests.support.hub import Hub, Repository
from tests.support.markdown import blocks
from tests.support.served import ROOT
from tests.unit.training.test_fetch_checkpoints import hub  # noqa: F401 - a fixture
from training import fetch
from training.published import layout

PAGE = ROOT / "docs" / "replacing-a-checkpoint.md"
FETCHES = [block.text.strip() for block in blocks(PAGE, "sh")]


def run(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs what a command of the page makes ``make`` run, in this process; gives the tag of the entry."""
    shown = subprocess.run(
        ["bash", "-ec", command.replace("make ", f"make -n VENV={sys.prefix} ")],
        cwd=ROOT, text=True, capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    (words,) = [words for line in shown.splitlines() if "training.fetch" in (words := shlex.split(line))]
    assert fetch.main(words[words.index("training.fetch") + 1 :]) == 0
    return capsys.readouterr().out.strip()


def test_from_the_hub_under_the_name_of_the_reference(
    tmp_path: Path,
    hub: Hub,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    reference = registry.specs()["voice_gender"].reference or ""
    hub.repositories[reference] = Repository(layout.write("voice_gender", tmp_path / "checkpoint", small=True))
    assert run(FETCHES[0], capsys).startswith("voice_gender-published:")


def test_a_keras_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = layout.write("face_gender", tmp_path / "checkpoint", small=True)
    command = FETCHES[1].replace("my-network.keras", str(file))
    assert str(file) in command
    assert run(command, capsys).startswith("face_gender-published:")
