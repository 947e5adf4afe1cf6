"""A model that a deployment does not name yet is added to all its files, once, and nothing else changes."""

from __future__ import annotations

import dataclasses
import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from models import registry
from tests.support.served import ROOT

ADD = ROOT / "deploy" / "add_models.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the deployment's files."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    return tmp_path / "deploy"


@pytest.fixture
def add() -> Callable[[Path], None]:
    """The command."""
    function: Callable[[Path], None] = runpy.run_path(str(ADD))["main"]
    return function


@pytest.fixture
def further(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry with one model more."""
    specs = registry.specs()
    loudness = dataclasses.replace(specs["voice_gender"], name="how_loud", runner="HowLoud")
    monkeypatch.setattr(registry, "specs", lambda: {**specs, "how_loud": loudness})


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def test_the_bundled_models_are_all_named(folder: Path, add: Callable[[Path], None]) -> None:
    before = contents(folder)
    add(folder)
    assert contents(folder) == before


@pytest.mark.usefixtures("further")
def test_a_further_model_is_added_once(folder: Path, add: Callable[[Path], None]) -> None:
    add(folder)
    after = contents(folder)
    add(folder)
    assert contents(folder) == after
    (compose,) = documents(folder / "compose.yaml")
    assert compose["services"]["how-loud"]["command"] == ["runner", "HowLoud"]
    assert "HowLoud=http://how-loud:3000" in compose["services"]["api"]["command"]
    assert {"how-loud", "redis"} <= set(compose["services"]["api"]["depends_on"])
    base = folder / "kubernetes" / "base"
    (kustomization,) = documents(base / "kustomization.yaml")
    assert "runners/how-loud" in kustomization["resources"]
    (own,) = documents(base / "runners" / "how-loud" / "kustomization.yaml")
    assert own["namePrefix"] == "how-loud-"
    (api,) = documents(base / "api" / "deployment.yaml")
    (container,) = api["spec"]["template"]["spec"]["containers"]
    assert "HowLoud=http://how-loud-runner:3000" in container["args"]
    settings = (base / "runner_settings.env").read_text().split("RUNNERS=")[1].splitlines()[0]
    assert "how_loud" in json.loads(settings)
    scalers = documents(folder / "kubernetes" / "overlays" / "keda" / "scalers.yaml")
    assert [scaler["metadata"]["name"] for scaler in scalers].count("how-loud-runner") == 1
    assert len(scalers) == len(documents(ROOT / "deploy" / "kubernetes" / "overlays" / "keda" / "scalers.yaml")) + 1
