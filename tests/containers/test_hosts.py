"""Several hosts: the API on one, runners on others; one is cut off without a word, and comes back."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from models import registry
from runners.assembly import ADDRESSES_KEPT_S
from tests.containers.figures import note
from tests.containers.hosts import GATEWAY, PORT, Host, hosts
from tests.containers.podman import is_ready
from tests.support.ask_all import ask
from tests.support.served import DATA, KEY, wait_for
from tests.support.site_thread import LocalSite, local_site

START_S = 240.0
ON_FAR = "heart_sound"  # the model whose only runner is on the host that is cut off
SLOWEST = "deepfake_mlp"  # most of what /api/voice-detection costs; it has a runner on each host but the API's
REPLICAS = (1, 2, 4)
DNS_S = ADDRESSES_KEPT_S + 1.0  # until the API has looked a name up again
MEASURED_S = 15.0
CLIENTS = 16


@dataclass(frozen=True, slots=True)
class Cluster:
    """The running hosts.

    Attributes:
        api: Has the API.
        near: Has the runners of all models but ``ON_FAR``.
        far: Has the runner of ``ON_FAR``.
        others: Have, as ``near`` and ``far``, a runner of ``SLOWEST``.
    """

    api: Host
    near: Host
    far: Host
    others: tuple[Host, ...]

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"http://{self.api.address}:{PORT}"

    def client(self) -> httpx.Client:
        """An HTTP client for the API."""
        return httpx.Client(base_url=self.url, timeout=90)

    def name(self, *replicas: Host) -> None:
        """Says where the runners are; those of ``SLOWEST`` are on ``replicas``."""
        names = {name: [self.near.address] for name in registry.specs()}
        names |= {ON_FAR: [self.far.address], SLOWEST: [host.address for host in replicas]}
        self.api.knows({name.replace("_", "-"): addresses for name, addresses in names.items()})


@pytest.fixture(scope="module")
def cluster(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The bundle on five hosts."""
    folder = tmp_path_factory.mktemp("hosts")
    ports = {name: PORT + number for number, name in enumerate(registry.specs(), 1)}
    with hosts("api", "near", "far", "third", "fourth") as (api, near, far, *others):
        made = Cluster(api, near, far, tuple(others))
        made.name(near)
        parts = {near: ports.keys() - {ON_FAR}, far: {ON_FAR, SLOWEST}} | {host: {SLOWEST} for host in others}
        for host, names in parts.items():
            for name in names:
                arguments = ("--service-name", registry.specs()[name].runner)
                host.start(folder / f"{host.name}-{name}", store, _settings(name), *arguments, port=ports[name])
        depends = []
        for name, port in ports.items():
            depends += ["--depends", f"{registry.specs()[name].runner}=http://{name.replace('_', '-')}:{port}"]
        settings = {"API_KEY": KEY, "ALLOWED_PRIVATE_HOSTS": GATEWAY}
        api.start(folder / "api", store, settings, "--service-name", "MediaClassifier", *depends)
        wait_for(lambda: is_ready(made.url), START_S, why=lambda: (folder / "api" / "log").read_text()[-4000:])
        yield made


def _settings(name: str) -> dict[str, str]:
    """One thread for the engine."""
    return {"RUNNERS": json.dumps({name: {"threads": 1, "streams": 1}})}


@pytest.fixture(scope="module")
def site() -> Iterator[LocalSite]:
    """A web server that the API's host reaches."""
    with local_site(GATEWAY, GATEWAY) as running:
        yield running


def test_the_questions_are_answered_across_hosts(cluster: Cluster, site: LocalSite) -> None:
    url = site.add_file("/scenes/speech_1.flac", (DATA / "scenes/speech_1.flac").read_bytes())
    with cluster.client() as client:
        answers = ask(client, KEY, url.removesuffix("/scenes/speech_1.flac"))
    assert {question: given for question, (given, _) in answers.items()} == {
        question: right for question, (_, right) in answers.items()
    }


Ask = Callable[[httpx.Client], httpx.Response]


def _heart(client: httpx.Client) -> httpx.Response:
    return client.post("/upload_audio", content=(DATA / "hearts/normal_1.pcm").read_bytes())


def _voice(client: httpx.Client) -> httpx.Response:
    return client.post("/api/detect-gender", files={"audio": (DATA / "voices/male_1.flac").read_bytes()})


def _face(client: httpx.Client) -> httpx.Response:
    return client.post("/api/gender", files={"image": (DATA / "faces/female_3.jpg").read_bytes()})


def test_a_host_that_is_cut_off_harms_no_other_and_comes_back(cluster: Cluster) -> None:
    """Its packets are dropped, so nothing tells the API: connections hang until it gives them up."""
    ended = threading.Event()

    def keep_asking(question: Ask) -> list[httpx.Response]:
        answers = []
        with cluster.client() as client:
            while not ended.is_set():
                answers.append(question(client))
        return answers

    with cluster.client() as client, ThreadPoolExecutor(6) as crowd:
        right = {question: question(client).text for question in (_heart, _voice, _face)}
        under_way = {question: [crowd.submit(keep_asking, question) for _ in range(2)] for question in right}
        try:
            time.sleep(1)
            cluster.far.cut_off()
            started = time.monotonic()
            wait_for(lambda: _heart(client).status_code == 503, 60)
            refused_s = time.monotonic() - started
            assert ON_FAR in client.get("/readyz").text
            cluster.far.restore()
            started = time.monotonic()
            wait_for(lambda: is_ready(cluster.url), 60)
            wait_for(lambda: _heart(client).status_code == 200, 60)
            restored_s = time.monotonic() - started
        finally:
            ended.set()
            cluster.far.restore()
        answers = {q: [a for future in futures for a in future.result()] for q, futures in under_way.items()}
    for question, given in answers.items():
        assert given
        for answer in given:
            if question is _heart and answer.status_code != 200:
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["retry-after"]) > 0
            else:
                assert (answer.status_code, answer.text) == (200, right[question])
    note(
        {
            "a host cut off by a packet filter: until its route answers 503": f"{refused_s:.1f} s",
            "the same host restored: until its route answers 200": f"{restored_s:.1f} s",
        }
    )


def _ai_voice(client: httpx.Client) -> httpx.Response:
    audio = base64.b64encode((DATA / "ai_voice/human_en.mp3").read_bytes()).decode()
    body = {"language": "English", "audioFormat": "mp3", "audioBase64": audio}
    return client.post("/api/voice-detection", json=body, headers={"x-api-key": KEY})


def test_replicas_on_other_hosts_share_the_work(cluster: Cluster) -> None:
    """Throughput against the number of replicas of the slowest runner."""
    replicas = (cluster.near, cluster.far, *cluster.others)
    worked = []
    for number in REPLICAS:
        cluster.name(*replicas[:number])
        time.sleep(DNS_S)
        before = [_batches(host) for host in replicas]
        rate = _rate(cluster)
        worked.append([after - start for after, start in zip(map(_batches, replicas), before, strict=True)])
        what = f"`/api/voice-detection`, {CLIENTS} clients, {os.cpu_count()} cores for everything: requests/s with "
        note({f"{what}{number} replica(s) of `{SLOWEST}`, of one thread, on as many hosts": f"{rate:.1f}"})
    cluster.name(cluster.near)
    for number, batches in zip(REPLICAS, worked, strict=True):
        assert min(batches[:number]) > 0.1 * sum(batches), batches
        assert sum(batches[number:]) == 0, batches


def _batches(host: Host) -> float:
    """How many batches a host's runner of ``SLOWEST`` has computed."""
    port = PORT + 1 + list(registry.specs()).index(SLOWEST)
    metrics = httpx.get(f"http://{host.address}:{port}/metrics", timeout=30).text
    counts = [line.split()[-1] for line in metrics.splitlines() if line.startswith("bundle_engine_seconds_count")]
    return sum(map(float, counts))


def _rate(cluster: Cluster) -> float:
    """Requests a second to ``/api/voice-detection``, by clients that ask again as soon as they are answered."""
    end = time.monotonic() + MEASURED_S

    def keep_asking(_: int) -> int:
        with cluster.client() as client:
            answered = 0
            while time.monotonic() < end:
                assert _ai_voice(client).status_code == 200
                answered += 1
        return answered

    with ThreadPoolExecutor(CLIENTS) as crowd:
        return sum(crowd.map(keep_asking, range(CLIENTS))) / MEASURED_S
