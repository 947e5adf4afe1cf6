"""What the playground is told of an answer: as much as a caller of the uniform route."""

from __future__ import annotations

import numpy as np
import pytest

from api.ui.questions import Questions
from api.v1.report import report
from cli.ask import local_context
from core.settings import Settings
from media.audio import AudioLimits, decode
from tasks.questions import questions
from tests.support.audio_bytes import wav
from tests.support.served import DATA

pytestmark = pytest.mark.anyio


def clipped_voice() -> bytes:
    voice = decode((DATA / "voices" / "male_1.flac").read_bytes(), limits=AudioLimits(), target_rate=16_000)
    return wav(np.clip(8 * voice.samples, -1, 1), 16_000)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("voice-gender", clipped_voice(), "clipped"),
        ("face-gender", (DATA / "faces" / "group_two.jpg").read_bytes(), "several_faces"),
    ],
    ids=["a clipped voice", "two faces"],
)
async def test_it_says_why_an_input_is_hard_to_judge(name: str, data: bytes, problem: str) -> None:
    question = questions()[name]
    context = local_context(Settings(), question.models)
    try:
        shown = await Questions(context).ask(name, data)
        answer = await context.answer(question, data)
        said = report(question, answer, context.models[question.models[0]].spec, context.settings, 0, "")
    finally:
        await context.close()
    assert shown.problems == said.problems == [problem]
