"""The playground's routes without a browser: examples, limits, progress, and nothing left on disk."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from tests.support.audio_bytes import wav
from tests.support.served import DATA, KEY, Bundle
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

QUESTIONS = ("voice-gender", "face-gender", "heart-sound", "audio-scene", "ai-voice")


@pytest.fixture(scope="module")
def examples(bundle: Bundle) -> list[dict[str, Any]]:
    """What can be clicked."""
    listed: list[dict[str, Any]] = httpx.get(f"{bundle.url}/ui/examples/examples.json").json()
    return listed


def test_examples_are_those_whose_terms_are_written_down(client: httpx.Client, examples: list[dict[str, Any]]) -> None:
    assert {example["question"] for example in examples} == set(QUESTIONS)
    for example in examples:
        assert example["credit"]
        sources = [(DATA / source).read_bytes() for source in example["source"]]
        served = client.get(f"/ui/examples/{example['file']}").content
        if len(sources) == 1:
            assert served == sources[0]
        else:
            length = round(example["cut_s"] * 16_000)  # of the beginning of each
            joined = np.concatenate([soundfile.read(io.BytesIO(s), frames=length, dtype="int16")[0] for s in sources])
            np.testing.assert_array_equal(soundfile.read(io.BytesIO(served), dtype="int16")[0], joined)


def test_the_pieces_of_the_mixed_example_are_answered_as_what_they_are(client: httpx.Client) -> None:
    """It is the picture on the README's first pages; each piece is one window."""
    mixed = client.get("/ui/examples/mixed.flac").content
    lines = client.post("/ui/ask/audio-scene", content=mixed).text.splitlines()
    report = json.loads(lines[-1])["report"]
    best = [max(window["shares"], key=lambda share: share["probability"])["name"] for window in report["windows"]]
    assert best == ["speech", "music", "noise", "silence", "speech", "speech"]


def test_answers_are_those_of_the_reference_routes(client: httpx.Client, voice: bytes) -> None:
    asked = client.post("/ui/ask/voice-gender", content=voice).json()["report"]
    answered = client.post("/api/detect-gender", files={"audio": voice}).json()
    shares = {share["name"]: share["probability"] for share in asked["shares"]}
    assert shares == pytest.approx({item["label"]: item["score"] for item in answered}, abs=1e-4)


def test_long_recordings_are_answered_with_progress(client: httpx.Client) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 120 * 16_000)
    response = client.post("/ui/ask/audio-scene", content=wav(noise, 16_000))
    assert response.headers["content-type"] == "application/x-ndjson"
    *progress, last = map(json.loads, response.text.splitlines())
    shares = [line["progress"] for line in progress]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 1
    assert len(last["report"]["windows"]) == 47


@pytest.mark.parametrize("key", ["", "wrong"])
def test_key_is_asked_for_before_the_recording_is_read(client: httpx.Client, key: str) -> None:
    assert_error(client.post("/ui/ask/ai-voice", content=b"no audio", headers={"x-api-key": key}), 403, "key")
    assert_error(client.post("/ui/ask/ai-voice", content=b"no audio", headers={"x-api-key": KEY}), 400, "audio")


@pytest.mark.parametrize("question", QUESTIONS[:4])
def test_nothing_and_too_much_are_refused(client: httpx.Client, small_client: httpx.Client, question: str) -> None:
    assert_error(client.post(f"/ui/ask/{question}"), 400, "empty")
    assert_error(small_client.post(f"/ui/ask/{question}", content=b"\0" * (600 << 10)), 413, "0.5 MiB")


def test_nothing_uploaded_stays_on_disk(bundle: Bundle, client: httpx.Client, examples: list[dict[str, Any]]) -> None:
    def files() -> set[str]:
        folders = (bundle.temporary_dir, bundle.data_dir)
        return {path.name for folder in folders for path in folder.rglob("*") if path.is_file()}

    before = files()
    for example in examples:
        data = client.get(f"/ui/examples/{example['file']}").content
        asked = client.post(f"/ui/ask/{example['question']}", content=data, headers={"x-api-key": KEY})
        assert asked.status_code == (422 if example["file"] == "no_face.jpg" else 200)
    assert files() - before <= {"data.json"}  # the latest heart result, which the contract wants there
