"""The rendered deployments run as pods, by ``podman kube play``, and answer the five questions."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.containers.conftest import SETTINGS
from tests.containers.manifests import PROBES, Manifest, container_of, manifests
from tests.containers.podman import COMMAND_S, is_ready, logs, podman
from tests.support.ask_all import ask
from tests.support.redis_server import free_port
from tests.support.served import DATA, KEY, wait_for
from tests.support.site_thread import LocalSite

NETWORK = "bundle-pods-test"
START_S = 240.0  # eight pods at once


def pod(name: str) -> str:
    """What podman calls the only pod of a deployment: also its name on the network."""
    return f"{name}-pod-0"


def probed(name: str, probe: str) -> str:
    """The path that a probe of a deployment asks for."""
    return str(container_of(manifests("base", "Deployment")[name])[probe]["httpGet"]["path"])


def adapted(deployment: Manifest, image: str, port: int) -> Manifest:
    """The deployment for podman, which has no services: the API is published, and asks pods by their own names."""
    container = container_of(deployment)
    container["image"] = image
    container["args"] = [re.sub(r"//([\w-]+):", lambda found: f"//{pod(found[1])}:", a) for a in container["args"]]
    # Podman's probes need systemd, and curl in the image; the test asks what they would ask.
    for probe in (*PROBES, "lifecycle"):
        del container[probe]
    del container["ports"]  # podman would publish each on this machine
    if deployment["metadata"]["name"] == "api":
        container["ports"] = [{"containerPort": 3000, "hostPort": port, "hostIP": "127.0.0.1"}]
        container["env"] = [{"name": name, "value": value} for name, value in SETTINGS.items()]
    spec = deployment["spec"]["template"]["spec"] | {"containers": [container]}
    template = deployment["spec"]["template"] | {"spec": spec}
    return deployment | {"spec": deployment["spec"] | {"replicas": 1, "template": template}}


def log(deployment: str) -> str:
    """The end of what a pod has printed."""
    name = f"{pod(deployment)}-{'api' if deployment == 'api' else 'runner'}"
    return logs(name)[-4000:]


@dataclass(frozen=True, slots=True)
class Pods:
    """The running pods.

    Attributes:
        url: Address of the API.
        manifest: File of the API's deployment.
    """

    url: str
    manifest: Path

    def replace_api(self) -> None:
        """Removes the API's pod, and starts a new one as the manifest says."""
        podman("pod", "rm", "--force", "--time=10", pod("api"))
        podman("kube", "play", "--network", NETWORK, str(self.manifest))

    def ask(self, deployment: str, path: str) -> int:
        """Status of an answer that a pod gives to its own node."""
        code = (
            "import sys, urllib.request as r, urllib.error as e\n"
            f"try: print(r.urlopen('http://127.0.0.1:3000{path}', timeout=10).status)\n"
            "except e.HTTPError as error: print(error.code)"
        )
        container = "api" if deployment == "api" else "runner"
        return int(podman("exec", f"{pod(deployment)}-{container}", "python", "-c", code))


def is_live(url: str) -> bool:
    """Whether an API answers, whatever its models do."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/livez", timeout=5).status_code == 200
    return False


@pytest.fixture(scope="module")
def pods(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    """The base, as it is rendered, with one replica each."""
    port = free_port()
    deployments = {name: adapted(d, image, port) for name, d in manifests("base", "Deployment").items()}
    api = deployments.pop("api")
    settings = list(manifests("base", "ConfigMap").values())
    folder = tmp_path_factory.mktemp("pods")
    files = (folder / "runners.yaml", folder / "api.yaml")
    files[0].write_text(yaml.safe_dump_all([*settings, *deployments.values()], sort_keys=False))
    files[1].write_text(yaml.safe_dump_all([*settings, api], sort_keys=False))
    _remove(*files)  # what a run that was killed has left
    podman("network", "create", NETWORK)
    try:
        for file in files:
            podman("kube", "play", "--network", NETWORK, str(file))
        pods = Pods(f"http://127.0.0.1:{port}", manifest=files[1])
        wait_for(lambda: is_ready(pods.url), START_S, why=lambda: log("api"))
        yield pods
    finally:
        _remove(*files)


def _remove(*files: Path) -> None:
    downs = [("kube", "down", str(file)) for file in files]
    for command in (*downs, ("network", "rm", "--force", NETWORK)):
        subprocess.run(("podman", *command), capture_output=True, check=False, timeout=COMMAND_S)


def test_they_answer_all_five_questions(pods: Pods, site: LocalSite) -> None:
    url = site.add_file("/scenes/speech_1.flac", (DATA / "scenes/speech_1.flac").read_bytes())
    with httpx.Client(base_url=pods.url, timeout=90) as client:
        answers = ask(client, KEY, url.removesuffix("/scenes/speech_1.flac"))
    assert {question: given for question, (given, _) in answers.items()} == {
        question: right for question, (_, right) in answers.items()
    }


def test_what_the_probes_ask_is_answered(pods: Pods) -> None:
    for name in manifests("base", "Deployment"):
        for probe in PROBES:
            assert pods.ask(name, probed(name, probe)) == 200, (name, probe)


def test_a_pod_that_is_gone_takes_only_its_own_route_with_it(pods: Pods) -> None:
    """The API's pods stay in service, and new ones start, as their probes say, though one model is down."""
    heart = (DATA / "hearts/normal_1.pcm").read_bytes()
    voice = {"audio": (DATA / "voices/male_1.flac").read_bytes()}
    podman("pod", "stop", "--time=0", pod("heart-sound-runner"))
    with httpx.Client(base_url=pods.url, timeout=90) as client:
        refused = client.post("/upload_audio", content=heart)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert "heart_sound" in client.get("/readyz").text
        pods.replace_api()  # the new one starts without that model; podman's own restart of a pod may end it once more
        wait_for(lambda: is_live(pods.url), START_S, why=lambda: log("api"))
        assert {pods.ask("api", probed("api", probe)) for probe in PROBES} == {200}
        assert client.post("/api/detect-gender", files=voice).status_code == 200
        podman("pod", "start", pod("heart-sound-runner"))
        wait_for(lambda: is_ready(pods.url), START_S)
        assert client.post("/upload_audio", content=heart).status_code == 200
