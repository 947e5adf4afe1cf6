"""The image: small, without root, without a writable root, and it ends as it should."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from packaging.utils import canonicalize_name

from core.version import VERSION
from tests.containers.conftest import BUILDERS_KEY, SETTINGS
from tests.containers.figures import note
from tests.containers.layers import contents
from tests.containers.podman import COMMAND_S, Container, container, environment, inspect, podman, run
from tests.support.ask_all import ask
from tests.support.http_site import ok
from tests.support.served import DATA, KEY, ROOT
from tests.support.site_thread import LocalSite

MEGABYTE = 1e6
LARGEST = 1.5e9  # bytes
GRACE_S = 70  # REQUEST_TIMEOUT_S and what BentoML needs to end

PARTS = {
    "base (Debian, Python)": "/usr /var /etc",
    "OpenVINO": "/venv/lib/python3.11/site-packages/openvino*",
    "OpenCV": "/venv/lib/python3.11/site-packages/cv2 /venv/lib/python3.11/site-packages/opencv*",
    "PyAV with FFmpeg": "/venv/lib/python3.11/site-packages/av*",
    "NumPy": "/venv/lib/python3.11/site-packages/numpy*",
    "all Python packages": "/venv",
    "models": "/bento/models",
    "code": "/bento/src",
}


@pytest.fixture(scope="module")
def running(image: str) -> Iterator[Container]:
    """The whole bundle in one container."""
    with container(image, settings=SETTINGS) as started:
        seconds = started.wait_until_ready()
        note({"one container: from start until every model answers": f"{seconds:.1f} s"})
        yield started


def test_it_answers_all_five_questions(running: Container, site: LocalSite) -> None:
    url = site.add_file("/scenes/speech_1.flac", (DATA / "scenes/speech_1.flac").read_bytes())
    with running.client() as client:
        answers = ask(client, KEY, url.removesuffix("/scenes/speech_1.flac"))
        assert client.get("/ui").status_code == 200
    assert {question: given for question, (given, _) in answers.items()} == {
        question: right for question, (_, right) in answers.items()
    }


def test_it_runs_without_root_and_can_write_nothing(running: Container) -> None:
    assert podman("exec", running.name, "id", "-u") == "1034"
    writable = "for f in / /bento /venv /usr/local/bin /etc /home; do test -w $f && echo $f; done; true"
    assert podman("exec", running.name, "sh", "-c", writable) == ""
    assert inspect(running.name)["HostConfig"]["ReadonlyRootfs"]


def test_its_health_check_asks_the_api(running: Container) -> None:
    assert podman("healthcheck", "run", running.name) in ("", "healthy")
    assert inspect(running.name)["Config"]["Healthcheck"]["Test"][0] == "CMD"


def test_it_is_small_and_says_what_it_is(image: str) -> None:
    known = inspect(image)
    assert known["Size"] <= LARGEST
    labels = {name.rpartition(".")[2]: value for name, value in known["Labels"].items() if "opencontainers" in name}
    assert labels["version"] == VERSION
    assert len(labels["revision"].removesuffix("-dirty")) == 40
    assert "Apache-2.0" in labels["licenses"]
    note({"image": f"{known['Size'] / MEGABYTE:.0f} MB"} | {f"- {name}": size for name, size in sizes(image).items()})


def sizes(image: str) -> dict[str, str]:
    """What parts of the image take."""
    lines = [f"du -cs --block-size=1MB {paths} 2>/dev/null | tail -1 | cut -f1" for paths in PARTS.values()]
    found = podman("run", "--rm", "--user=0", image, "sh", "-c", "; ".join(lines)).split()
    return dict(zip(PARTS, (f"{size} MB" for size in found), strict=True))


TOOLS = re.compile(r"bin/(?:gcc|cc|make|git|curl|wget|wheel|pip[\d.]*|easy_install)(?:-[\d.]+)?$")
INSTALLERS = re.compile(
    r"(?:site|dist)-packages/(?:pip|setuptools|wheel|torch|transformers|keras|scipy)/|ensurepip/|\.whl$"
)
SECRET_FILES = re.compile(r"\.env$|\.netrc$|(?:^|/)(?:pip\.conf|\.pypirc|id_(?:rsa|ed25519)|.*\.key)$")
ELF = b"\x7fELF"  # libraries for TLS hold keys to test themselves with
SECRETS = re.compile(rb"-----BEGIN (?:\w+ )*PRIVATE KEY-----\s+[\w+/=]")


def test_no_layer_has_tools_secrets_or_traces_of_how_it_was_built(image: str, tmp_path: Path) -> None:
    traces = [BUILDERS_KEY, str(ROOT), *index_addresses()]
    wanted = re.compile(b"|".join(re.escape(trace.encode()) for trace in traces))
    found, count = set(), 0
    for name, data in contents(image, tmp_path):
        count += 1
        if any(kind.search(name) for kind in (TOOLS, INSTALLERS, SECRET_FILES)):
            found.add(name)
        keys = None if data.startswith(ELF) else SECRETS.search(data)
        if secret := wanted.search(data) or keys:
            found.add(f"{name}: {secret[0].decode()}")
    assert count > 10_000
    assert found == set()
    described = podman("history", "--no-trunc", image) + json.dumps(environment(image))
    assert not re.findall(r"https?://(?!127\.0\.0\.1)|index.url|password|token", described, re.IGNORECASE)


def index_addresses() -> list[str]:
    """Where pip gets packages from on this machine."""
    listed = run(sys.executable, "-m", "pip", "config", "list").splitlines()
    settings = [line.split("=", 1) for line in listed if re.match(r"[^=]*(?:index.url|find.links)=", line)]
    addresses = [address for _, value in settings for address in value.strip("'\"").replace("\\n", " ").split()]
    return [address for address in addresses if "pypi.org" not in address]  # which packages themselves name


def test_an_image_without_its_lock_is_refused_at_once() -> None:
    command = ("deploy/image", "none", "deploy/requirements-gpu.lock")
    variables = os.environ | {"VARIANT": "gpu"}
    made = subprocess.run(command, cwd=ROOT, env=variables, text=True, capture_output=True, check=False, timeout=60)
    assert made.returncode == 1
    assert "deploy/requirements-gpu.lock is not there: `make lock VARIANT=gpu` writes it" in made.stderr


def test_its_bill_of_materials_names_every_package_it_holds(image: str) -> None:
    bill = json.loads((ROOT / "build" / "image" / "sbom.json").read_text())
    named = {(canonicalize_name(part["name"]), part.get("version")) for part in bill["components"]}
    python = "import importlib.metadata as m; [print(d.metadata['Name'], d.version) for d in m.distributions()]"
    listings = (("python", "-c", python), ("dpkg-query", "-W", "-f", "${Package} ${Version}\n"))
    for listing in listings:
        held = {line.split()[0]: line.split()[1] for line in podman("run", "--rm", image, *listing).splitlines()}
        assert len(held) > 50
        assert {(canonicalize_name(name), version) for name, version in held.items()} <= named
    licensed = [part for part in bill["components"] if part.get("licenses")]
    assert len(licensed) > len(bill["components"]) / 2


def test_termination_answers_what_is_in_flight(image: str, site: LocalSite) -> None:
    """A request whose download takes 3 s, and SIGTERM while it is under way."""
    asked = threading.Event()
    voice = (DATA / "scenes/speech_1.flac").read_bytes()

    async def slow(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(3)
        writer.write(ok(voice))

    url = site.add("/while-ending.flac", slow)
    with container(image, settings=SETTINGS) as ending:
        ending.wait_until_ready()

        def request() -> httpx.Response:
            with ending.client() as client:
                return client.post("/analyze-audio", json={"audio_url": url})

        with ThreadPoolExecutor(1) as crowd:
            answer = crowd.submit(request)
            assert asked.wait(30)
            started = time.monotonic()
            podman("stop", f"--time={GRACE_S}", ending.name)
            seconds = time.monotonic() - started
            assert answer.result(COMMAND_S).status_code == 200, answer.result().text
        state = inspect(ending.name)["State"]
    assert state["ExitCode"] == 0
    note({"one container: from SIGTERM to its end, with a request of 3 s in flight": f"{seconds:.1f} s"})


@pytest.mark.parametrize("command", [("all",), ("runner", "VoiceGender")], ids=["all", "runner"])
@pytest.mark.parametrize("after_s", [0.1, 1.0])
def test_it_may_be_stopped_while_it_starts(image: str, command: tuple[str, ...], after_s: float) -> None:
    """The kernel hides a signal from a first process without a handler, as Python is while it loads."""
    with container(image, *command, settings=SETTINGS) as starting:
        time.sleep(after_s)
        podman("stop", f"--time={GRACE_S}", starting.name)
        assert inspect(starting.name)["State"]["ExitCode"] in (0, 128 + signal.SIGTERM)  # 137 is killed


def test_an_api_without_the_address_of_a_runner_does_not_start(image: str) -> None:
    """BentoML would load that model into the API process, without a word."""
    with container(image, "api", "VoiceGender=http://voice-gender:3000") as refused:
        podman("wait", refused.name)
        assert inspect(refused.name)["State"]["ExitCode"] != 0
        assert "configuration error: no address for the runners of audio_scene, deepfake_cnn" in refused.log
