"""The Kubernetes manifests, rendered as a cluster would get them."""

from __future__ import annotations

import functools
import shutil
import subprocess
from typing import Any

import yaml

from tests.support.served import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("base", *(f"overlays/{path.name}" for path in sorted((FOLDER / "overlays").iterdir())))
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

Manifest = dict[str, Any]


@functools.cache
def render(folder: str) -> str:
    """What ``kubectl apply -k`` would send, as YAML.

    Args:
        folder: Under ``deploy/kubernetes``.

    Raises:
        AssertionError: It cannot be rendered, or neither kubectl nor kustomize is installed.
    """
    tool = ("kubectl", "kustomize") if shutil.which("kubectl") else ("kustomize", "build")
    assert shutil.which(tool[0]), "install kubectl or kustomize"
    made = subprocess.run([*tool, str(FOLDER / folder)], text=True, capture_output=True, check=False, timeout=60)
    assert made.returncode == 0, made.stderr
    return made.stdout


def manifests(folder: str, kind: str | None = None) -> dict[str, Manifest]:
    """The manifests of a folder by name, or by ``kind/name`` where no kind is asked for."""
    found = [document for document in yaml.safe_load_all(render(folder)) if kind in (None, document["kind"])]
    names = [(d["metadata"]["name"] if kind else f"{d['kind']}/{d['metadata']['name']}") for d in found]
    assert len(set(names)) == len(found)
    return dict(zip(names, found, strict=True))


def container_of(deployment: Manifest) -> Manifest:
    """The only container of a deployment's pods."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def labels_of(deployment: Manifest) -> dict[str, str]:
    """The labels of a deployment's pods."""
    return dict(deployment["spec"]["template"]["metadata"]["labels"])


def variables(folder: str, config_map: str) -> dict[str, str]:
    """The variables of the settings that a container takes from a config map."""
    (data,) = (m["data"] for name, m in manifests(folder, "ConfigMap").items() if name.startswith(config_map))
    return dict(data)
