"""One path: evaluation, command line and service give the same probabilities for the bundled samples."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from cli.ask import local_context
from core.settings import Settings
from engine.predictor import Predictor
from media.pcm import PcmFormat
from models import registry
from tasks.heart_sound import pcm_reader
from tasks.questions import questions
from tests.support.served import DATA, KEY
from training.data.datasets import Clip
from training.evaluation import answers

SAMPLES = {
    "voice-gender": sorted((DATA / "voices").glob("*.flac")),
    "face-gender": sorted((DATA / "faces").glob("*male_*.jpg")),
    "heart-sound": sorted((DATA / "hearts").glob("*.flac")),
    "audio-scene": sorted((DATA / "scenes").glob("*.flac")),
    "ai-voice": sorted((DATA / "ai_voice").glob("*_*.*")),
}
TOLERANCE = 1e-6
BATCHED = 1e-4  # sums in a network are rounded in another order where other windows are in its batch


def evaluated(name: str, path: Path, settings: Settings) -> Mapping[str, float]:
    """Probabilities as the evaluation computes them."""
    members = []
    for model in questions()[name].models:
        clip = Clip(path, registry.specs()[model].classes[0], "", {})
        members.append(answers.answer(Predictor.bundled(model, settings), [clip]))
    found = members[0] if len(members) == 1 else answers.ensemble(members, settings)
    return dict(zip(found.classes, found.served[0].tolist(), strict=True))


def by_command(name: str, path: Path, settings: Settings, *, as_pcm: bool = False) -> Mapping[str, float]:
    """Probabilities as the command line computes them, of a file or of raw PCM."""
    data = answers.as_pcm(path.read_bytes()) if as_pcm else path.read_bytes()

    async def ask() -> Mapping[str, float]:
        question = questions()[name]
        context = local_context(settings, question.models)
        read = pcm_reader(PcmFormat(), 10.0) if as_pcm else None
        try:
            return (await context.answer(question, data, read=read)).found.probabilities
        finally:
            await context.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("engine", ["compiled", "native"])
@pytest.mark.parametrize("name", SAMPLES)
def test_evaluation_and_command_line_agree(name: str, engine: str) -> None:
    settings = Settings.model_validate({"engine": engine})
    path = SAMPLES[name][0]
    by_cli = by_command(name, path, settings, as_pcm=name == "heart-sound")
    assert by_cli == pytest.approx(evaluated(name, path, settings), abs=TOLERANCE)


@pytest.mark.served
@pytest.mark.parametrize("name", SAMPLES)
def test_the_service_and_the_command_line_agree(name: str, client: httpx.Client) -> None:
    for path in SAMPLES[name]:
        answer = client.post(f"/ui/ask/{name}", content=path.read_bytes(), headers={"x-api-key": KEY})
        last = json.loads(answer.text.splitlines()[-1])  # what takes longer reports its progress first
        served = {share["name"]: share["probability"] for share in last.get("report", last)["shares"]}
        assert served == pytest.approx(by_command(name, path, Settings()), abs=BATCHED), path.name
