"""The Helm chart says what the Kustomize base says, but for the image."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from core.version import VERSION
from tests.containers.manifests import render
from tests.support.programs import program
from tests.support.served import ROOT

IMAGE = "{{ .Values.image | quote }}"


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart, made by its command."""
    program("kubectl", "kustomize")
    folder = tmp_path_factory.mktemp("chart")
    subprocess.run([str(ROOT / "deploy" / "chart"), str(folder)], check=True, capture_output=True, timeout=60)
    return folder


def test_it_is_the_base_with_another_image(chart: Path) -> None:
    template = (chart / "templates" / "bundle.yaml").read_text()
    assert template.count(IMAGE) == template.count("{{") == 8  # the API and seven runners
    image = yaml.safe_load((chart / "values.yaml").read_text())["image"]
    made = list(yaml.safe_load_all(template.replace(IMAGE, f'"{image}"')))
    assert made == list(yaml.safe_load_all(render("base")))


def test_its_description_has_what_helm_asks_for(chart: Path) -> None:
    described = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert described["apiVersion"] == "v2"
    assert described["name"] == "media-classifier"
    assert described["version"] == described["appVersion"] == VERSION
