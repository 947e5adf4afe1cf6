"""What happens when processes die, hang, or are asked for more than usual."""

from __future__ import annotations

import base64
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import pytest

from models import registry
from tests.support.audio_bytes import speech, wav
from tests.support.heart_bytes import heartbeat, pcm
from tests.support.served import KEY, Bundle, command_line, descendants, wait_for
from tests.support.shapes import assert_error
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

Ask = Callable[[httpx.Client], httpx.Response]


@pytest.fixture(scope="module")
def routes(voice: bytes, face: bytes, site: LocalSite) -> dict[str, Ask]:
    """A good request of every route, by the service of a runner that it needs."""
    url = site.add_file("/resilience.flac", voice)
    encoded = base64.b64encode(voice).decode()
    body = {"language": "Tamil", "audioFormat": "flac", "audioBase64": encoded}
    heart = pcm(heartbeat())
    counter = iter(range(10**6))
    return {
        "VoiceGender": lambda client: client.post("/api/detect-gender", files={"audio": voice}),
        "FaceGender": lambda client: client.post("/api/gender", files={"image": face}),
        "HeartSound": lambda client: client.post("/upload_audio", content=heart),
        "AudioScene": lambda client: client.post("/analyze-audio", json={"audio_url": f"{url}?{next(counter)}"}),
        "DeepfakeMlp": lambda client: client.post("/api/voice-detection", json=body, headers={"x-api-key": KEY}),
    }


@pytest.fixture(autouse=True)
def _ready_again(bundle: Bundle) -> Iterator[None]:
    """Each test leaves the bundle as it found it."""
    yield
    bundle.wait_until_ready()


SHARED_KB = 15_000  # of some 25,000 that a copy begins with; a process that was started anew has none


def fork_server(bundle: Bundle) -> int:
    """The process that all workers are copies of."""
    (found,) = [pid for pid in descendants(bundle.process.pid) if "core.fork_server" in command_line(pid)]
    return found


def status(pid: int) -> dict[str, str]:
    """What the kernel says of a process."""
    return dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())


@pytest.mark.parametrize("service", ["MediaClassifier", *(spec.runner for spec in registry.specs().values())])
def test_no_process_takes_all_cores_for_small_matrices(bundle: Bundle, service: str) -> None:
    """What OpenBLAS read when NumPy was loaded; its threads otherwise cost twice the processor time of the features."""
    origin = fork_server(bundle)
    assert status(origin)["Threads"] == "1"
    for pid in (origin, *bundle.workers(service)):
        assert b"OPENBLAS_NUM_THREADS=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


@pytest.mark.parametrize("service", ["MediaClassifier", *(spec.runner for spec in registry.specs().values())])
def test_every_worker_is_a_copy_that_the_supervisor_owns(bundle: Bundle, service: str) -> None:
    """Pages that it has not written are those of the other copies."""
    for pid in bundle.workers(service):
        assert status(pid)["PPid"] == str(bundle.process.pid)
        shared = re.search(r"Shared_Dirty: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
        assert shared
        assert int(shared[1]) > SHARED_KB


def test_without_the_fork_server_answers_go_on_and_a_killed_runner_comes_back(
    bundle: Bundle, routes: dict[str, Ask]
) -> None:
    origin, (old,) = fork_server(bundle), bundle.workers("VoiceGender")
    os.kill(origin, signal.SIGKILL)
    with bundle.client() as client:
        assert all(ask(client).status_code == 200 for ask in routes.values())
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: bundle.workers("VoiceGender") not in ([], [old]), 60)
        bundle.wait_until_ready()
        assert routes["VoiceGender"](client).status_code == 200
    assert fork_server(bundle) != origin


def has_zeromq(pid: int) -> bool:
    """Whether a process has loaded ZeroMQ, which only BentoML's supervisor uses."""
    return "zmq" in Path(f"/proc/{pid}/maps").read_text()


def test_api_and_runners_leave_out_what_only_the_supervisor_uses(bundle: Bundle) -> None:
    for service in ("MediaClassifier", "VoiceGender"):
        workers = bundle.workers(service)
        assert workers
        assert not any(has_zeromq(pid) for pid in workers), service
    assert has_zeromq(bundle.process.pid)  # or this would see nothing


@pytest.mark.parametrize("service", ["VoiceGender", "DeepfakeMlp"])
def test_a_killed_runner_comes_back_and_the_others_never_notice(
    bundle: Bundle, routes: dict[str, Ask], service: str
) -> None:
    """``kill -9`` under load: its own requests succeed, or get 503 in the contract's error shape."""
    (old,) = bundle.workers(service)
    ended = threading.Event()

    def keep_asking(name: str) -> list[httpx.Response]:
        answers = []
        with bundle.client() as client:
            while not ended.is_set():
                answers.append(routes[name](client))
        return answers

    with ThreadPoolExecutor(2 * len(routes)) as crowd:
        under_way = {name: [crowd.submit(keep_asking, name) for _ in range(2)] for name in routes}
        try:
            time.sleep(1)
            os.kill(old, signal.SIGKILL)
            wait_for(lambda: bundle.workers(service) not in ([], [old]), 60)
            wait_for(bundle.is_ready, 60)
            time.sleep(1)
        finally:
            ended.set()
        answers = {name: [a for future in futures for a in future.result()] for name, futures in under_way.items()}
    for name, given in answers.items():
        assert given
        for answer in given:
            if name == service and answer.status_code != 200:
                assert_error(answer, 503, "not available")
            else:
                assert answer.status_code == 200, (name, answer.text)
    with bundle.client() as client:
        assert routes[service](client).status_code == 200
    told = [line for line in bundle.log_lines() if line.get("pid") == old]
    assert [(line["level"], line["service"], line["signal"]) for line in told] == [("WARNING", service, "SIGKILL")]


@pytest.fixture
def hanging(bundle: Bundle) -> Iterator[str]:
    """A runner that takes connections and never answers."""
    workers = bundle.workers("FaceGender")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    yield "FaceGender"
    for pid in workers:
        os.kill(pid, signal.SIGCONT)


def test_a_runner_that_hangs_is_named_and_given_up(
    bundle: Bundle, client: httpx.Client, hanging: str, routes: dict[str, Ask]
) -> None:
    started = time.monotonic()
    assert_error(client.get("/readyz"), 503, "face_gender")
    assert time.monotonic() - started < 2
    assert client.get("/livez").status_code == 200
    assert_error(routes[hanging](client), 503, "face_gender")  # by now it is known to be down
    started = time.monotonic()
    assert_error(routes[hanging](client), 503, "face_gender")
    assert time.monotonic() - started < 5
    for name, ask in routes.items():
        if name != hanging:
            assert ask(client).status_code == 200, name
    for pid in bundle.workers(hanging):
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: client.get("/readyz").status_code == 200, 20)
    assert routes[hanging](client).status_code == 200


def test_a_refusal_does_not_wait_for_the_work(
    small_bundle: Bundle, small_client: httpx.Client, wav_file: bytes
) -> None:
    """While its runner stands still, a request that finds one waiting has its 429 long before that is answered."""

    def one(_: int) -> tuple[int, float]:
        started = time.monotonic()
        status = small_client.post("/api/detect-gender", files={"audio": wav_file}).status_code
        return status, time.monotonic() - started

    stopped = small_bundle.workers("VoiceGender")
    with ThreadPoolExecutor(16) as crowd:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            asked = [crowd.submit(one, number) for number in range(16)]
            time.sleep(2.5)
            early = [future.result() for future in asked if future.done()]
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        answers = [future.result() for future in asked]
    assert len(early) >= 8
    assert {status for status, _ in early} == {429}
    answered = [seconds for status, seconds in answers if status == 200]
    assert median(seconds for _, seconds in early) < min(answered) / 2


def test_many_requests_of_all_routes_at_once(bundle: Bundle, routes: dict[str, Ask]) -> None:
    """BentoML's client, as it comes, loses up to 16 % of these (bentoml/BentoML#5540)."""
    asks = list(routes.values())

    def one(index: int) -> int:
        with bundle.client() as client:
            return asks[index % len(asks)](client).status_code

    with ThreadPoolExecutor(32) as crowd:
        statuses = list(crowd.map(one, range(200)))
    assert set(statuses) == {200}


def test_no_call_to_a_runner_is_sent_again(bundle: Bundle) -> None:
    """BentoML's client, as it comes, closes its session every 100 calls, with others under way; ours would hide it."""

    def count(name: str) -> float:
        with bundle.client() as client:
            shown = client.get("/metrics").text
        found = re.findall(rf'^bundle_{name}\{{[^}}]*model="voice_gender"[^}}]*\}} (\S+)$', shown, re.MULTILINE)
        return sum(map(float, found))

    short = wav(speech(1.0), 16_000)  # what a call computes does not matter

    def ask(number: int) -> None:
        with bundle.client() as client:
            for _ in range(number):
                assert client.post("/api/detect-gender", files={"audio": short}).status_code == 200

    before, called = count("runner_retries_total"), count("call_seconds_count")
    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(ask, [150] * 4))
    assert count("call_seconds_count") > called + 100
    assert count("runner_retries_total") == before


def test_after_a_pause_nothing_fails(bundle: Bundle, routes: dict[str, Ask]) -> None:
    """Runners close connections that are idle for 5 s, perhaps at the moment at which one is used again."""
    for pause in (4.9, 5.0, 6.5):
        time.sleep(pause)
        with bundle.client() as client:
            for name, ask in routes.items():
                assert ask(client).status_code == 200, name


def test_a_bad_item_fails_alone(bundle: Bundle, voice: bytes) -> None:
    """Requests that arrive together are answered together; what is wrong with one is its own matter."""
    not_numbers = wav(np.full((16_000, 1), np.nan, np.float32), 16_000, "FLOAT")
    no_sound = wav(np.zeros((16_000, 1), np.float32), 16_000)  # which the heart model cannot judge
    files = {"good": voice, "nan": not_numbers, "text": b"no audio", "zero": no_sound}
    kinds = list(files) * 6

    def one(kind: str, path: str) -> int:
        with bundle.client() as client:
            return client.post(path, files={"audio": ("a.wav", files[kind])}).status_code

    with ThreadPoolExecutor(24) as crowd:
        statuses = list(crowd.map(lambda kind: (kind, one(kind, "/v1/heart-sound")), kinds))
    assert {status for kind, status in statuses if kind == "good"} == {200}
    assert {status for kind, status in statuses if kind in {"nan", "text"}} == {400}
    assert {status for kind, status in statuses if kind == "zero"} <= {200, 400}


def test_an_answer_does_not_depend_on_its_batch(bundle: Bundle, voice: bytes) -> None:
    """The same clip alone, and in a crowd of longer and shorter ones."""
    others = [wav(speech(seconds), 16_000) for seconds in (1.0, 1.5, 2.0, 4.7, 7.9, 15.0)]

    def score(file: bytes) -> float:
        with bundle.client() as client:
            answer = client.post("/api/detect-gender", files={"audio": file}).json()
        return float(next(item["score"] for item in answer if item["label"] == "male"))

    alone = score(voice)
    with ThreadPoolExecutor(24) as crowd:
        together = list(crowd.map(score, [voice, *others] * 6))
    assert together[:: len(others) + 1] == pytest.approx([alone] * 6, abs=1e-3)
