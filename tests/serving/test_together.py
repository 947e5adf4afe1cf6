"""Several models in one process (``RUNNERS_TOGETHER``), beside others in another and one by itself."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.questions import MODELS_BY_ROUTE, questions
from tests.support.served import Bundle, serve, wait_for
from tests.support.shapes import assert_error
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

DECIMAL = re.compile(r"\d+\.\d+(?:e-\d+)?")

GROUPS = {
    "ModelGroup1": ("voice_gender", "audio_scene", "deepfake_encoder", "deepfake_mlp"),
    "ModelGroup2": ("heart_sound", "deepfake_cnn"),
}
ALONE = "FaceGender"


@pytest.fixture(scope="module")
def grouped(store: Path) -> Iterator[Bundle]:
    """The bundle in four processes and its supervisor."""
    with serve(store, {"RUNNERS_TOGETHER": ";".join(", ".join(group) for group in GROUPS.values())}) as running:
        yield running


def test_each_group_is_one_process_and_the_rest_have_their_own(grouped: Bundle) -> None:
    assert {name: len(grouped.workers(name)) for name in (*GROUPS, ALONE, "MediaClassifier")} == {
        "ModelGroup1": 1, "ModelGroup2": 1, ALONE: 1, "MediaClassifier": 1,
    }  # fmt: skip
    assert grouped.workers("VoiceGender") == grouped.workers("DeepfakeCnn") == []


def test_the_answers_are_those_of_separate_processes(grouped: Bundle, bundle: Bundle, site: LocalSite) -> None:
    """Asked at once, so that the batchers of a process have something to do at the same time."""
    asks = questions(site)

    def answer(server: Bundle, route: str) -> tuple[str, list[float]]:
        """What is said without its decimals, and these: batch-mates differ, and with them the order of a sum."""
        with server.client() as client:
            response = asks[route](client, {})
        assert response.status_code == 200, response.text
        text = f"{response.headers['x-model']} {response.text}"
        return DECIMAL.sub("#", text), [float(number) for number in re.findall(DECIMAL, text)]

    with ThreadPoolExecutor(10) as crowd:
        together = {route: [crowd.submit(answer, grouped, route) for _ in range(4)] for route in asks}
        for route, answers in together.items():
            words, numbers = answer(bundle, route)
            for future in answers:
                same_words, near = future.result()
                assert (same_words, len(near)) == (words, len(numbers)), route
                assert near == pytest.approx(numbers, abs=1e-5), route


def test_metrics_and_readiness_know_each_model_by_its_name(grouped: Bundle) -> None:
    with grouped.client() as client:
        metrics, ready = client.get("/metrics").text, client.get("/readyz")
    assert ready.status_code == 200
    for models in MODELS_BY_ROUTE.values():
        for model in models:
            assert any(line.startswith("bundle_model_info") and f'"{model}"' in line for line in metrics.splitlines())
            assert f'bundle_runner_up{{model="{model}"}} 1.0' in metrics


def test_a_killed_group_comes_back_and_the_others_never_notice(grouped: Bundle, site: LocalSite) -> None:
    """Its own requests are answered, or get 503."""
    asks = questions(site)
    (old,) = grouped.workers("ModelGroup2")
    os.kill(old, signal.SIGKILL)
    with grouped.client() as client:
        assert asks["/api/gender"](client, {}).status_code == 200
        assert asks["/api/detect-gender"](client, {}).status_code == 200
        heart: httpx.Response = asks["/upload_audio"](client, {})
        if heart.status_code != 200:
            assert_error(heart, 503, "heart_sound")
        wait_for(lambda: grouped.workers("ModelGroup2") not in ([], [old]), 60)
        wait_for(grouped.is_ready, 120)
        for route, ask in asks.items():
            assert ask(client, {}).status_code == 200, route
