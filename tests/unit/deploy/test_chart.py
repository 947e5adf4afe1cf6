"""The Helm chart says what the Kustomize base says, but for the image."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from core.version import VERSION
from models import registry
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
    assert template.count(IMAGE) == template.count("{{") == 1 + len(registry.specs())  # the API and the runners
    image = yaml.safe_load((chart / "values.yaml").read_text())["image"]
    made = list(yaml.safe_load_all(template.replace(IMAGE, f'"{image}"')))
    assert made == list(yaml.safe_load_all(render("base")))


def test_its_description_has_what_helm_asks_for(chart: Path) -> None:
    described = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert described["apiVersion"] == "v2"
    assert described["name"] == "media-classifier"
    assert described["version"] == described["appVersion"] == VERSION


def test_helm_finds_no_fault_and_renders_the_base(chart: Path) -> None:
    helm = program("helm")
    image = "registry.example/media-classifier:1"
    template = [helm, "template", "media-classifier", str(chart), "--set", f"image={image}"]
    for command in ([helm, "lint", "--strict", str(chart)], template):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    own = yaml.safe_load((chart / "values.yaml").read_text())["image"]
    assert by_name(done.stdout) == by_name(render("base").replace(own, image))


def by_name(rendered: str) -> dict[tuple[str, str], object]:
    """Objects by kind and name; Helm orders them in another way."""
    found = {(made["kind"], made["metadata"]["name"]): made for made in yaml.safe_load_all(rendered)}
    assert len(found) > 20
    return found
