"""The stack of several containers: it answers, and goes on answering when a part of it dies."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.containers.conftest import SETTINGS
from tests.containers.figures import note
from tests.containers.podman import inspect, podman
from tests.containers.stack import VOLUME, Stack, batches, kill, most_memory, remains, stack
from tests.serving.test_resilience import routes  # noqa: F401 - a fixture
from tests.support.ask_all import ask
from tests.support.served import DATA, KEY, wait_for
from tests.support.shapes import assert_error
from tests.support.site_thread import LocalSite

Ask = Callable[[httpx.Client], httpx.Response]

RUNNERS = (
    "audio-scene",
    "deepfake-cnn",
    "deepfake-mlp",
    "deepfake-encoder",
    "face-gender",
    "heart-sound",
    "voice-gender",
)
MEGABYTE = 1e6
OPTIONS = '{"voice_gender": {"workers": 2, "threads": 1}}'
# Arguments of the processes of one container; images have no ps.
READ_COMMANDS = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"


@pytest.fixture(scope="module")
def running(image: str, redis_image: str) -> Iterator[Stack]:
    """The stack, which leaves nothing behind."""
    started = time.monotonic()
    with stack(IMAGE=image, REDIS_IMAGE=redis_image, PLAYGROUND="false", RUNNERS=OPTIONS, **SETTINGS) as made:
        note({"stack: from `make up` until every model answers": f"{time.monotonic() - started:.0f} s"})
        yield made
        api = most_memory(*made.containers("api"))
        runner = max(most_memory(name) for service in RUNNERS for name in made.containers(service))
        memory = f"{api / MEGABYTE:.0f} MB, {runner / MEGABYTE:.0f} MB"
        note({"stack: most memory of the API, and of the largest runner, after all tests": memory})
        assert made.is_oom_free()
    assert remains() == ""


def test_it_answers_all_five_questions(running: Stack, site: LocalSite) -> None:
    url = site.add_file("/scenes/speech_1.flac", (DATA / "scenes/speech_1.flac").read_bytes())
    with running.client() as client:
        answers = ask(client, KEY, url.removesuffix("/scenes/speech_1.flac"))
    assert {question: given for question, (given, _) in answers.items()} == {
        question: right for question, (_, right) in answers.items()
    }


def test_settings_of_make_up_reach_the_parts(running: Stack) -> None:
    """`workers` counts calls under way, and processes of no container: there a dead one would not be started again."""
    with running.client() as client:
        assert client.get("/ui").status_code == 404
    (runner,) = running.containers("voice-gender")
    assert podman("exec", runner, "printenv", "RUNNERS") == OPTIONS
    assert podman("exec", runner, "sh", "-c", READ_COMMANDS).count("_bentoml_impl.worker.service") == 1


def test_only_the_api_is_reached_from_outside(running: Stack) -> None:
    """Runner ports unpickle what they get."""
    published = {name for name in running.containers() if podman("port", name)}
    assert published == set(running.containers("api"))
    for name in running.containers():
        if name not in published:
            (network,) = inspect(name)["NetworkSettings"]["Networks"]
            assert podman("network", "inspect", network, "--format", "{{.Internal}}") == "true", name


def keep_asking(
    running: Stack, questions: dict[str, Ask], action: Callable[[], None]
) -> dict[str, list[httpx.Response]]:
    """Asks all questions again and again while something happens."""
    ended = threading.Event()

    def repeat(question: Ask) -> list[httpx.Response]:
        answers = []
        with running.client() as client:
            while not ended.is_set():
                answers.append(question(client))
        return answers

    with ThreadPoolExecutor(len(questions)) as crowd:
        under_way = {name: crowd.submit(repeat, question) for name, question in questions.items()}
        try:
            time.sleep(1)
            action()
            time.sleep(1)
        finally:
            ended.set()
        return {name: answers.result() for name, answers in under_way.items()}


def refusals(answers: dict[str, list[httpx.Response]]) -> list[str]:
    """What those said that answer no question."""
    return [answer.text for given in answers.values() for answer in given if answer.status_code != 200]


def test_a_killed_runner_comes_back_and_the_others_never_notice(running: Stack, routes: dict[str, Ask]) -> None:  # noqa: F811
    (victim,) = running.containers("voice-gender")
    before = inspect(victim)["State"]["Pid"]

    def kill_and_wait() -> None:
        kill(victim)
        killed = time.monotonic()
        with running.client() as client:
            wait_for(lambda: client.get("/readyz").status_code == 503, 30)
            wait_for(lambda: client.get("/readyz").status_code == 200, 120)
            wait_for(lambda: routes["VoiceGender"](client).status_code == 200, 60)
        note({"stack: from the kill of a runner until its route answers again": f"{time.monotonic() - killed:.1f} s"})

    answers = keep_asking(running, routes, kill_and_wait)
    assert inspect(victim)["State"]["Pid"] not in (0, before)
    for name, given in answers.items():
        refused = [answer for answer in given if answer.status_code != 200]
        for answer in refused:
            assert name == "VoiceGender", answer.text
            assert_error(answer, 503, "not available")
        assert bool(refused) == (name == "VoiceGender")


def test_without_redis_nothing_fails(running: Stack, routes: dict[str, Ask]) -> None:  # noqa: F811
    (redis,) = running.containers("redis")

    def stop_and_wait() -> None:
        podman("stop", "--time=5", redis)
        time.sleep(2)

    answers = keep_asking(running, routes, stop_and_wait)
    podman("start", redis)
    assert all(answers.values())
    assert refusals(answers) == []


def test_a_key_of_a_caller_outlives_a_restart_of_redis(running: Stack) -> None:
    """It is made as deploy/README.md says."""
    (api,), (redis,) = running.containers("api"), running.containers("redis")
    command = ("exec", api, "start", "keys", "--store", "redis")
    assert podman(*command, "add", "clinic", "--questions", "heart-sound").startswith("mck_")
    podman("restart", "--time=5", redis)
    # Redis has no other place to write to.
    assert [mount["Name"] for mount in inspect(redis)["Mounts"] if mount["Type"] == "volume"] == [VOLUME]

    def is_listed() -> bool:
        with contextlib.suppress(AssertionError):  # it is not up again
            return '"name": "clinic"' in podman(*command, "list")
        return False

    wait_for(is_listed, 30)


def test_a_second_replica_shares_the_work(running: Stack, routes: dict[str, Ask]) -> None:  # noqa: F811
    """Its API learns of it by the name that both share, and no request is lost while it comes."""
    question = {f"client {index}": routes["VoiceGender"] for index in range(4)}
    answers = keep_asking(running, question, lambda: running.up(SCALE="voice_gender=2"))
    assert refusals(answers) == []
    replicas = running.containers("voice-gender")
    assert len(replicas) == 2
    with running.client() as client:

        def all_work() -> bool:
            assert refusals({"one": [routes["VoiceGender"](client)]}) == []
            return all(batches(name, "voice_gender") > 1 for name in replicas)

        wait_for(all_work, 120)
    before = [batches(name, "voice_gender") for name in replicas]
    answers = keep_asking(running, question, lambda: time.sleep(5))
    assert refusals(answers) == []
    done = [batches(name, "voice_gender") - start for name, start in zip(replicas, before, strict=True)]
    assert min(done) > 0.2 * sum(done), done
    note({"stack: batches of two replicas of one runner, under load": " and ".join(f"{count:.0f}" for count in done)})
