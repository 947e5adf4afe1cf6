"""One path: evaluation, command line, routes, playground and typed methods give the same probabilities."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from api.asked import TYPED
from cli.ask import local_context
from core.settings import Settings
from engine.predictor import Predictor
from media.pcm import PcmFormat
from models import registry
from tasks.heart_sound import pcm_reader
from tasks.questions import questions
from tests.support.served import DATA, KEY, serve
from training.data.datasets import Clip
from training.evaluation import answers

SAMPLES = {
    "voice-gender": sorted((DATA / "voices").glob("*.flac")),
    "face-gender": sorted((DATA / "faces").glob("*male_*.jpg")),
    "heart-sound": sorted((DATA / "hearts").glob("*.flac")),
    "audio-scene": sorted((DATA / "scenes").glob("*.flac")),
    "ai-voice": sorted((DATA / "ai_voice").glob("*_*.*")),
}
# One thread and one window at a time take sums in one order. Else that hangs on what else is under way.
ONE_BY_ONE = {name: {"streams": 1, "threads": 1, "batch_items": 1} for name in registry.specs()}
ENGINES = {
    name: Settings.model_validate({"engine": name, "device": "cpu", "runners": ONE_BY_ONE})
    for name in ("compiled", "native")
}
SETTINGS = {"usual": Settings(), **ENGINES}
# What the native service has in one process, where it has to load torch once. Faces, on TensorFlow, have their own.
# So does the first model of torch: the service has each in a process of its own unless it is told otherwise.
_, *TOGETHER = [name for name in registry.specs() if name != "face_gender"]
TOLERANCE = 1e-6
OTHER_ORDER = 2e-4  # of sums in float32
ROUNDING = 0.05 + 1e-6  # of a confidence in percent with one digit

WHOLE = ("voice-gender", "face-gender")  # their typed methods say the probability of each class

Probabilities = Mapping[str, float]


def evaluated(name: str, settings: Settings) -> list[Probabilities]:
    """Probabilities of a question's samples as the evaluation computes them."""
    members = []
    for model in questions()[name].models:
        clips = [Clip(path, registry.specs()[model].classes[0], "", {}) for path in SAMPLES[name]]
        members.append(answers.answer(Predictor.bundled(model, settings), clips))
    found = members[0] if len(members) == 1 else answers.ensemble(members, settings)
    return [dict(zip(found.classes, row, strict=True)) for row in found.served.tolist()]


@functools.cache
def by_command(name: str, which: str, *, as_pcm: bool = False) -> Sequence[Probabilities]:
    """Probabilities as the command line computes them with some settings, of the samples as files or as raw PCM."""
    settings = SETTINGS[which]

    async def ask() -> list[Probabilities]:
        question = questions()[name]
        context = local_context(settings, question.models)
        read = pcm_reader(PcmFormat(), answers.AMPLIFICATION) if as_pcm else None
        try:
            return [
                (await context.answer(question, one, read=read)).found.probabilities for one in bodies(name, as_pcm)
            ]
        finally:
            await context.close()

    return asyncio.run(ask())


def bodies(name: str, as_pcm: bool) -> list[bytes]:
    files = [path.read_bytes() for path in SAMPLES[name]]
    return [answers.as_pcm(file) for file in files] if as_pcm else files


def served(name: str, client: httpx.Client) -> list[Probabilities]:
    """Probabilities as the service computes them, of one file after the other."""

    def ask(path: Path) -> Probabilities:
        url = f"/v1/classify/{name}"
        answer = client.post(url, files={"file": (path.name, path.read_bytes())}, headers={"x-api-key": KEY})
        (item,) = answer.json()["items"]
        found: Probabilities = item["probabilities"]
        return found

    return [ask(path) for path in SAMPLES[name]]


def by_playground(name: str, client: httpx.Client) -> list[Probabilities]:
    """Probabilities as the playground's page gets them."""

    def ask(path: Path) -> Probabilities:
        answer = client.post(f"/ui/ask/{name}", content=path.read_bytes(), headers={"x-api-key": KEY})
        *_, last = answer.text.splitlines()  # lines of progress go before it where it takes long
        return {share["name"]: share["probability"] for share in json.loads(last)["report"]["shares"]}

    return [ask(path) for path in SAMPLES[name]]


def by_method(name: str, client: httpx.Client) -> list[Probabilities]:
    """Probabilities as BentoML's typed method says them, of a question whose method says all."""

    def ask(path: Path) -> Probabilities:
        file = {"image" if name == "face-gender" else "audio": path.read_bytes()}
        answer = client.post(TYPED[name], files=file).json()
        if name == "face-gender":
            return {one["class"]: one["probability"] for one in answer["predictions"]["predictions"]}
        return {one["label"]: one["score"] for one in answer}

    return [ask(path) for path in SAMPLES[name]]


def assert_alike(
    name: str, one: Sequence[Probabilities], other: Sequence[Probabilities], tolerance: float = TOLERANCE
) -> None:
    for path, first, second in zip(SAMPLES[name], one, other, strict=True):
        assert first == pytest.approx(second, abs=tolerance), path.name


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SAMPLES)
def test_evaluation_and_command_line_agree(name: str, engine: str) -> None:
    """A heart sound is evaluated as the raw PCM that its route takes."""
    by_cli = by_command(name, engine, as_pcm=name == "heart-sound")
    assert_alike(name, by_cli, evaluated(name, ENGINES[engine]))


@pytest.mark.served
@pytest.mark.parametrize("name", SAMPLES)
def test_the_service_and_the_command_line_agree(name: str, client: httpx.Client) -> None:
    assert_alike(name, served(name, client), by_command(name, "usual"), OTHER_ORDER)


@pytest.mark.served
def test_the_route_of_raw_sound_and_the_evaluation_agree(client: httpx.Client) -> None:
    """That route answers with the best class and its confidence in percent."""
    accept = {"accept": "application/json"}
    said = [client.post("/upload_audio", content=body, headers=accept).json() for body in bodies("heart-sound", True)]
    for one, probabilities in zip(said, evaluated("heart-sound", Settings()), strict=True):
        best = max(probabilities, key=probabilities.__getitem__)
        assert one["class"] == best
        assert one["confidence"] == pytest.approx(100 * probabilities[best], abs=ROUNDING)


@pytest.mark.served
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_service_says_the_very_same_one_by_one(store: Path, engine: str) -> None:
    settings = {"ENGINE": engine, "DEVICE": "cpu", "RUNNERS": json.dumps(ONE_BY_ONE)}
    if engine == "native":
        settings["RUNNERS_TOGETHER"] = ", ".join(TOGETHER)
    with serve(store, settings) as bundle, bundle.client() as client:
        for name in SAMPLES:
            for asked in (served, by_playground, *((by_method,) if name in WHOLE else ())):
                assert_alike(name, asked(name, client), by_command(name, engine))
