"""What the server answers is what the cards measured: the evaluation's way and a request end in the same numbers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from core.settings import get_settings
from engine.predictor import Predictor
from models import registry
from models.store import save
from tasks.voice_deepfake import MEMBERS, decide
from tests.support.served import DATA, KEY
from tests.support.site_thread import LocalSite
from training.data.datasets import Clip
from training.evaluation.answers import Answers, answer, ensemble

pytestmark = pytest.mark.served
CLOSE = 2e-3  # of a probability: batch-mates and the order of sums may differ

ServedModel = dict[str, float]


def measured(name: str, path: Path) -> Answers:
    """As ``make evaluate`` answers for a file; its label does not matter."""
    return answer(Predictor.bundled(name), [Clip(path, registry.specs()[name].classes[0], "", {})])


def probabilities(name: str, path: Path) -> ServedModel:
    found = measured(name, path)
    return dict(zip(found.classes, found.served[0].tolist(), strict=True))


def tag(response: httpx.Response) -> str:
    """The model that answered."""
    response.raise_for_status()
    return response.headers["x-model"]


def voice(client: httpx.Client, path: Path) -> ServedModel:
    response = client.post("/api/detect-gender", files={"audio": path.read_bytes()})
    assert tag(response).startswith("voice_gender:")
    return {item["label"]: item["score"] for item in response.json()}


def face(client: httpx.Client, path: Path) -> ServedModel:
    response = client.post("/api/gender", files={"image": path.read_bytes()})
    assert tag(response).startswith("face_gender:")
    return {item["class"]: item["probability"] for item in response.json()["predictions"]["predictions"]}


@pytest.mark.parametrize(
    ("name", "ask", "files"),
    [
        ("voice_gender", voice, sorted((DATA / "voices").glob("*.flac"))),
        ("face_gender", face, sorted((DATA / "faces").glob("*male_*.jpg"))),
    ],
)
def test_both_classes_have_the_probabilities_of_the_evaluation(
    client: httpx.Client, name: str, ask: Callable[[httpx.Client, Path], ServedModel], files: list[Path]
) -> None:
    assert len(files) >= 3
    for path in files:
        assert ask(client, path) == pytest.approx(probabilities(name, path), abs=CLOSE), path.name


@pytest.mark.parametrize("stem", ["normal_1", "murmur_1"])
def test_a_heart_sound_is_answered_as_in_the_evaluation(client: httpx.Client, stem: str) -> None:
    expected = probabilities("heart_sound", DATA / "hearts" / f"{stem}.flac")
    pcm = (DATA / "hearts" / f"{stem}.pcm").read_bytes()
    response = client.post("/upload_audio", content=pcm, headers={"accept": "application/json"})
    assert tag(response).startswith("heart_sound:")
    best = max(expected, key=lambda label: expected[label])
    # The PCM file was resampled by another program than the FLAC file is here: 2 points.
    assert response.json() == {"class": best, "confidence": pytest.approx(100 * expected[best], abs=2)}


@pytest.mark.parametrize("path", sorted((DATA / "scenes").glob("*.flac")), ids=lambda path: path.stem)
def test_a_scene_is_answered_as_in_the_evaluation(client: httpx.Client, site: LocalSite, path: Path) -> None:
    expected = probabilities("audio_scene", path)
    response = client.post("/analyze-audio", json={"audio_url": site.add_file(f"/card/{path.name}", path.read_bytes())})
    assert tag(response).startswith("audio_scene:")
    assert response.json()["data"]["classification"] == max(expected, key=lambda label: expected[label])


@pytest.mark.parametrize("path", sorted((DATA / "ai_voice").glob("*.*[v3]")), ids=lambda path: path.stem)
def test_a_voice_gets_the_verdict_of_the_ensemble(client: httpx.Client, path: Path) -> None:
    joined = ensemble([measured(name, path) for name in MEMBERS])
    verdict = decide(
        [float(joined.served[0, joined.classes.index("AI_GENERATED")])] * len(MEMBERS), get_settings().voting
    )
    audio = base64.b64encode(path.read_bytes()).decode()
    body = {"language": "English", "audioFormat": path.suffix[1:], "audioBase64": audio}
    response = client.post("/api/voice-detection", json=body, headers={"x-api-key": KEY})
    assert all(name in tag(response) for name in MEMBERS)
    assert response.json()["classification"] == verdict.classification == joined.classes[joined.decided[0]]
    assert response.json()["confidenceScore"] == pytest.approx(verdict.confidence, abs=0.01)


def test_the_bundled_weights_are_those_that_answer(client: httpx.Client, store: Path) -> None:
    response = client.post("/api/detect-gender", files={"audio": (DATA / "voices/male_1.flac").read_bytes()})
    assert tag(response) == save(registry.specs()["voice_gender"], registry.weights("voice_gender"))
