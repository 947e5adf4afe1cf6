"""The examples of ``docs/operating.md`` work: real proxies in front of the served bundle, and a rollback of a model."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from websockets.sync.client import connect

from tests.support.markdown import blocks
from tests.support.programs import program
from tests.support.redis_server import free_port
from tests.support.served import ROOT, Bundle, wait_for

PAGE = ROOT / "docs" / "operating.md"


def example(language: str) -> str:
    """The one block of a kind."""
    (block,) = blocks(PAGE, language)
    return block.text


def replaced(text: str, **others: str) -> str:
    """The text with other names in the places of its own, each of which it has."""
    for old, new in others.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, signed by itself, beside its key."""
    path = tmp_path_factory.mktemp("tls") / "example.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["-nodes", "-days", "2", "-out", str(path), "-keyout", str(path.with_suffix(".key"))]
    subprocess.run([program("openssl"), "req", "-x509", "-newkey", "rsa:2048", *names, *made], check=True, timeout=60)
    return path


@pytest.fixture(scope="module", params=["caddy", "nginx"])
def proxy(
    request: pytest.FixtureRequest, bundle: Bundle, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the bundle through a proxy, by HTTPS."""
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    command = {"caddy": caddy, "nginx": nginx}[request.param](folder, port, bundle.port, certificate)
    variables = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, cwd=folder, stdout=log, stderr=log)
    context = ssl.create_default_context(cafile=str(certificate))
    try:
        with httpx.Client(base_url=f"https://localhost:{port}", verify=context, timeout=60) as client:
            wait_for(lambda: answers(client), 30, why=lambda: (folder / "log").read_text()[-2000:])
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def caddy(folder: Path, port: int, behind: int, certificate: Path) -> list[str]:
    text = replaced(example("caddyfile"), **{"127.0.0.1:3000": f"127.0.0.1:{behind}"})
    tls = f"\ttls {certificate} {certificate.with_suffix('.key')}\n"
    text = replaced(text, **{"example.org {\n": f"https://localhost:{port} {{\n{tls}"})
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def nginx(folder: Path, port: int, behind: int, certificate: Path) -> list[str]:
    key = str(certificate.with_suffix(".key"))
    text = replaced(
        example("nginx"),
        **{
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "127.0.0.1:3000": f"127.0.0.1:{behind}",
            "/etc/ssl/example.org.pem": str(certificate), "/etc/ssl/example.org.key": key,
        },
    )  # fmt: skip
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    head = f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{head}http {{\naccess_log off;\n{folders}{text}}}\n")
    return [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


@pytest.mark.served
def test_questions_pass_through_a_proxy(proxy: httpx.Client, voice: bytes) -> None:
    answer = proxy.post("/api/detect-gender", files={"audio": voice}, headers={"x-request-id": "through-tls"})
    assert answer.status_code == 200, answer.text
    assert answer.json()[0]["label"] == "male"
    assert answer.headers["x-request-id"] == "through-tls"
    assert answer.headers["x-model"].startswith("voice_gender:")


@pytest.mark.served
def test_live_sound_passes_through_a_proxy(proxy: httpx.Client, certificate: Path) -> None:
    url = f"wss://localhost:{proxy.base_url.port}/v1/stream/audio-scene?rate=16000"
    context = ssl.create_default_context(cafile=str(certificate))
    with connect(url, ssl=context, open_timeout=30) as socket:
        socket.send(bytes(2 * 16_000))
        socket.send("end")
        assert json.loads(socket.recv(timeout=60))["prediction"] == "silence"


@pytest.mark.served
def test_the_limit_of_a_body_is_that_of_the_service(proxy: httpx.Client) -> None:
    """A body at the limit is answered by the service, in its words."""
    answer = proxy.post("/upload_audio", content=bytes(32 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["message"] == "the body is larger than 32 MiB"


@pytest.mark.served
def test_metrics_are_not_shown_to_the_public(proxy: httpx.Client) -> None:
    assert proxy.get("/metrics").status_code == 404
    assert proxy.get("/ui").status_code == 200


def test_memory_is_that_of_the_figures_and_of_the_deployments() -> None:
    table = (ROOT / "docs" / "scaling.md").read_text().partition("(PSS) |")[2].partition("<!-- end -->")[0]
    each = [int(number) for number in re.findall(r"\| (\d+) \|", table)]
    assert len(each) == 8
    assert f"{sum(each) * 2**20 / 1e9:.1f} GB after four clients" in PAGE.read_text()
    stack = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["voice-gender"]["mem_limit"]
    runner = yaml.safe_load((ROOT / "deploy/kubernetes/base/runner/deployment.yaml").read_text())
    (container,) = runner["spec"]["template"]["spec"]["containers"]
    resources = container["resources"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"], stack) == ("384Mi", "1Gi", "768m")
    assert "Kubernetes: 384 MiB requested, limit 1 GiB; the stack: limit 768 MiB" in PAGE.read_text()
    assert max(each) < 384


def test_an_older_entry_is_served_again(store: Path, tmp_path: Path) -> None:
    """The command of the page, in a store with two entries of a model."""
    home = tmp_path / "bentoml"
    shutil.copytree(store, home)
    entries = home / "models" / "voice_gender"
    first = (entries / "latest").read_text()
    shutil.copytree(entries / first, entries / "0123456789abcdef")
    card = entries / "0123456789abcdef" / "model.yaml"
    card.write_text(card.read_text().replace(first, "0123456789abcdef"))
    (entries / "latest").write_text("0123456789abcdef")

    def served() -> str:
        script = "import bentoml; print(bentoml.models.get('voice_gender:latest').tag.version)"
        variables = {**os.environ, "BENTOML_HOME": str(home)}
        command = [sys.executable, "-c", script]
        return subprocess.check_output(command, env=variables, text=True, timeout=60).strip()

    assert served() == "0123456789abcdef"
    command = next(block.text for block in blocks(PAGE, "sh") if block.text.startswith("echo "))
    (version,) = command.split()[1:2]
    variables = {**os.environ, "BENTOML_HOME": str(home)}

    def roll_back(to: str) -> None:
        subprocess.run(["bash", "-ec", command.replace(version, to)], env=variables, check=True, timeout=60)

    roll_back(first)
    assert served() == first
    # What `make serve` does before it serves marks the weights of this checkout.
    roll_back("0123456789abcdef")
    subprocess.run(
        [sys.executable, "-m", "models.save", "voice_gender"], cwd=ROOT, env=variables, check=True, timeout=60
    )
    assert served() == first
