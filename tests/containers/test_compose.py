"""What ``make up`` would start, without starting it: settings, networks, the optional part."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from core.settings import Settings
from models import registry
from tests.containers.podman import podman, run
from tests.containers.test_manifests import component
from tests.support.served import ROOT

DEPLOY = ROOT / "deploy"
STACK, OBSERVABILITY = (
    yaml.safe_load((DEPLOY / name).read_text())["services"] for name in ("compose.yaml", "compose.observability.yaml")
)

OF_THE_IMAGE = {"HOST", "PORT", "DATA_DIR", "LOG_DIR"}  # set there; compose takes HOST and PORT for what it publishes
NOT_HELD = {"PROFILE", "RUNNERS_TOGETHER"}  # the image has the compact models, and a container one runner
OF_RUNNERS = {"RUNNERS", "ENGINE", "DEVICE", "PRECISION", "REQUEST_TIMEOUT_S", "LOG_LEVEL"}
ONLY_OF_RUNNERS = {"ENGINE", "DEVICE", "PRECISION"}  # what runs a network, which the API does not
# No settings: variables of OpenTelemetry.
OF_TRACES = set(re.findall(r"OTEL_\w+", (ROOT / "docs" / "observability.md").read_text()))


def variables(service: dict[str, Any]) -> set[str]:
    """Names of the variables that a container gets."""
    return {variable.split("=")[0] for variable in service["environment"]}


def test_each_runner_is_scaled_by_its_own_name() -> None:
    """``deploy/compose`` makes ``REPLICAS_VOICE_GENDER`` of ``SCALE="voice-gender=2"``."""
    replicas = {name: service["deploy"]["replicas"] for name, service in STACK.items() if "deploy" in service}
    named = {spec.name.replace("_", "-"): f"${{REPLICAS_{spec.name.upper()}:-1}}" for spec in registry.specs().values()}
    assert replicas == named


def test_every_setting_reaches_the_part_that_reads_it() -> None:
    settings = {name.upper() for name in Settings.model_fields} - OF_THE_IMAGE - NOT_HELD
    assert variables(STACK["api"]) == settings - ONLY_OF_RUNNERS | OF_TRACES
    for name in registry.specs():
        assert variables(STACK[component(name)]) == OF_RUNNERS | OF_TRACES


def test_few_share_a_network_with_runners() -> None:
    """They can send what a runner unpickles."""
    services = STACK | OBSERVABILITY
    inside = {name for name, service in services.items() if "runners" in service["networks"]}
    assert inside - {component(name) for name in registry.specs()} == {"api", "redis", "prometheus"}
    published = {name for name, service in services.items() if "ports" in service}
    assert published == {"api", "prometheus", "grafana"}


@pytest.mark.parametrize("part", ["", "1"])
def test_compose_takes_the_files(part: str) -> None:
    """As far as it goes without images of Prometheus and Grafana: the commands that it would give to podman."""
    project = f"bundle-dry{part}"
    of_project = f"label=io.podman.compose.project={project}"
    dry = ("podman-compose", "--dry-run", "--project-name", project, "--file", "deploy/compose.yaml")
    more = ("--file", "deploy/compose.observability.yaml") if part else ()
    try:
        run(*dry, *more, "up", "--detach")
    finally:
        networks = podman("network", "ls", "--quiet", "--filter", of_project).split()
        podman("network", "rm", *networks)
        podman("volume", "rm", "--force", f"{project}_redis")
    assert len(networks) == 2


def test_what_the_optional_part_mounts_is_there() -> None:
    for service in OBSERVABILITY.values():
        for volume in service["volumes"]:
            folder, _, mode = volume.split(":")
            assert any((DEPLOY / folder).iterdir())
            assert mode == "ro"
