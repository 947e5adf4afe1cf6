"""The Kubernetes manifests agree with the API's schemas, with one another, and with the registry of models."""

from __future__ import annotations

import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # kubernetes-validate brings it
import kubernetes_validate
import pytest

from core import metrics
from core.settings import Settings
from models import registry
from tests.containers.keda import SCALED_OBJECT
from tests.containers.manifests import OVERLAYS, PROBES, Manifest, container_of, labels_of, manifests, variables

# The oldest and the newest release of Kubernetes that the manifests are held to.
RELEASES = ("1.27", "1.35")
# The API's HTTP client remembers the addresses of a name for so long, and a cluster's name servers do too.
ADDRESSES_KEPT_S = 10
COMPONENT = "app.kubernetes.io/component"


def component(name: str) -> str:
    """What a model is called where underscores are not allowed."""
    return name.replace("_", "-")


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector takes a pod."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    rules = selector.get("matchExpressions", [])
    assert all(rule["operator"] == "NotIn" for rule in rules)
    return exact and not any(labels.get(rule["key"]) in rule["values"] for rule in rules)


@pytest.mark.parametrize("folder", OVERLAYS)
@pytest.mark.parametrize("release", RELEASES)
def test_each_manifest_is_what_the_kubernetes_api_takes(folder: str, release: str) -> None:
    for name, manifest in manifests(folder).items():
        if manifest["kind"] == "ScaledObject":
            jsonschema.validate(manifest, SCALED_OBJECT)
        else:
            kubernetes_validate.validate(manifest, release, strict=True)
        assert "namespace" not in manifest["metadata"], name  # kubectl's -n decides


@pytest.mark.parametrize("folder", OVERLAYS)
def test_each_model_has_a_runner_that_the_api_knows(folder: str) -> None:
    deployments, services = manifests(folder, "Deployment"), manifests(folder, "Service")
    specs = registry.specs()
    known = dict(argument.split("=") for argument in container_of(deployments["api"])["args"][1:])
    assert known == {spec.runner: f"http://{component(name)}-runner:3000" for name, spec in specs.items()}
    for name, spec in specs.items():
        deployment, service = deployments[f"{component(name)}-runner"], services[f"{component(name)}-runner"]
        assert container_of(deployment)["args"] == ["runner", spec.runner]
        taken = [
            n for n, d in deployments.items() if selects({"matchLabels": service["spec"]["selector"]}, labels_of(d))
        ]
        assert taken == [f"{component(name)}-runner"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_nothing_runs_with_rights_that_it_does_not_need(folder: str) -> None:
    for name, deployment in manifests(folder, "Deployment").items():
        pod, container = deployment["spec"]["template"]["spec"], container_of(deployment)
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"]
        assert not own["allowPrivilegeEscalation"]
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_only_the_api_reaches_a_runner(folder: str) -> None:
    """A pod that no policy selects is open to all; one that a policy selects is open to those that a policy names."""
    deployments = manifests(folder, "Deployment")
    policies = [policy["spec"] for policy in manifests(folder, "NetworkPolicy").values()]
    for name, deployment in deployments.items():
        (own,) = [p for p in policies if selects(p["podSelector"], labels_of(deployment))]
        assert own["policyTypes"] == ["Ingress", "Egress"], name
        if name == "api":
            continue
        assert "egress" not in own  # of a kind that it lists, and none is allowed
        (rule,) = own["ingress"]
        peers = [peer["podSelector"] for peer in rule["from"]]
        callers = [n for n, d in deployments.items() if any(selects(peer, labels_of(d)) for peer in peers)]
        assert callers == ["api"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_each_pod_is_probed_for_what_it_can_do(folder: str) -> None:
    for name, deployment in manifests(folder, "Deployment").items():
        if name == "redis":
            continue
        container = container_of(deployment)
        paths = {probe: container[probe]["httpGet"]["path"] for probe in PROBES}
        # An API pod starts and stays in service when a model is down: its other routes work.
        ready = "/livez" if name == "api" else "/readyz"
        assert paths == {"startupProbe": "/livez", "readinessProbe": ready, "livenessProbe": "/livez"}, name
        grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        assert grace >= pause + Settings.model_fields["request_timeout_s"].default
        assert name == "api" or pause > 2 * ADDRESSES_KEPT_S


@pytest.mark.parametrize("folder", OVERLAYS)
def test_everything_scales_and_survives_a_drained_node(folder: str) -> None:
    scaled = {n: d for n, d in manifests(folder, "Deployment").items() if n != "redis"}
    scalers = manifests(folder, "HorizontalPodAutoscaler") | manifests(folder, "ScaledObject")
    assert sorted(s["spec"]["scaleTargetRef"]["name"] for s in scalers.values()) == sorted(scaled)
    assert all("replicas" not in d["spec"] for d in scaled.values())  # or each apply would undo the scaler's work
    budgets = manifests(folder, "PodDisruptionBudget").values()
    for deployment in scaled.values():
        assert sum(selects(b["spec"]["selector"], labels_of(deployment)) for b in budgets) == 1


def test_queues_are_what_keda_asks_for() -> None:
    asked = {name: _query(scaler) for name, scaler in manifests("overlays/keda", "ScaledObject").items()}
    assert asked == {
        f"{component(name)}-runner": f'sum(avg_over_time(bundle_queue_depth{{model="{name}"}}[1m]))'
        for name in registry.specs()
    }


def test_keda_asks_for_metrics_that_are_served_by_the_api() -> None:
    """Runners are not scraped in a cluster."""
    served = {family.name for metric in metrics.OF_A_QUEUE for family in metric.describe()}
    for scaler in manifests("overlays/keda", "ScaledObject").values():
        assert set(re.findall(r"bundle_\w+", _query(scaler))) <= served
        assert scaler["spec"]["minReplicaCount"] <= scaler["spec"]["maxReplicaCount"]


def _query(scaler: Manifest) -> str:
    (trigger,) = scaler["spec"]["triggers"]
    return str(trigger["metadata"]["query"])


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_settings_are_taken_by_the_bundle(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for config_map in ("api-settings", "runner-settings"):
        for name, value in variables(folder, config_map).items():
            assert name.lower() in Settings.model_fields
            monkeypatch.setenv(name, value)
    options = Settings(_env_file=None).runners
    used = {name: (option.threads, option.streams) for name, option in options.items()}
    assert used == dict.fromkeys(registry.specs(), (1, 1))
