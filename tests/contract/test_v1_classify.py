"""The uniform routes: any question, one or several items, by file, address or base64 (docs/api-v1.md)."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bentoml
import httpx
import numpy as np
import pytest
import soundfile

from core.settings import Settings
from models import registry
from models.spec import ImageInput
from tests.support.audio_bytes import speech, wav
from tests.support.served import DATA, KEY, ROOT, Bundle
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

KEYED = {"x-api-key": KEY}
NOTHING = {"sample_rate": None, "window": None}
DECIMAL = re.compile(r"\d+\.\d+(?:e-\d+)?|\d+e-\d+")
NDJSON = {"accept": "application/x-ndjson"}
SAMPLES = {  # a file of each question, and the right answer
    "voice-gender": ("voices/male_1.flac", "male"),
    "face-gender": ("faces/female_3.jpg", "female"),
    "heart-sound": ("hearts/normal_1.flac", "Normal"),
    "audio-scene": ("scenes/music_1.flac", "music"),
    "ai-voice": ("ai_voice/ai_ta_espeak.mp3", "AI_GENERATED"),
}


def form(*names: str) -> list[tuple[str, tuple[str, bytes]]]:
    """Files of the samples under one key."""
    return [("file", (name.rsplit("/")[-1], (DATA / name).read_bytes())) for name in names]


def items(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    assert [item["index"] for item in found] == list(range(len(found)))
    return found


@pytest.mark.parametrize("question", SAMPLES)
def test_every_question_is_answered_alike_by_file_address_and_base64(
    client: httpx.Client, site: LocalSite, question: str
) -> None:
    name, right = SAMPLES[question]
    data = (DATA / name).read_bytes()
    url = site.add_file(f"/v1/{name}", data)
    address = f"/v1/classify/{question}"
    encoded = base64.b64encode(data).decode()
    by_file = items(client.post(address, files=form(name), headers=KEYED))
    by_json = items(
        client.post(address, json={"items": [{"url": url}, {"base64": encoded, "name": "x"}]}, headers=KEYED)
    )
    assert [item["name"] for item in by_file + by_json] == [name.rsplit("/")[-1], url, "x"]
    for item in by_file + by_json:
        assert item["status"] == "success"
        assert item["prediction"] == right
        assert 0 < item["confidence"] <= 1
        assert sum(item["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert item["models"]
        assert item["uncertain"] in (True, False)
    texts = [
        json.dumps({key: value for key, value in item.items() if key not in ("index", "name")})
        for item in by_file + by_json
    ]
    assert len({DECIMAL.sub("#", text) for text in texts}) == 1
    first, *others = ([float(number) for number in DECIMAL.findall(text)] for text in texts)
    for numbers in others:  # one item and two are computed in different batches: the order of a sum differs
        assert numbers == pytest.approx(first, abs=1e-5)


def test_it_answers_as_the_reference_route_does(client: httpx.Client, voice: bytes) -> None:
    (item,) = items(client.post("/v1/classify/voice-gender", files={"file": voice}))
    reference = client.post("/api/detect-gender", files={"audio": voice}).json()
    assert item["probabilities"] == {one["label"]: one["score"] for one in reference}


def test_what_each_question_says_beside_its_answer(client: httpx.Client) -> None:
    (scene,) = items(client.post("/v1/classify/audio-scene", files=form("scenes/music_1.flac")))
    source = {"sample_rate": 16000, "channels": 1, "container": "flac"}
    assert {key: scene["audio"][key] for key in source} == source
    assert scene["segments"][0]["start"] == 0
    assert scene["segments"][-1]["end"] == pytest.approx(scene["audio"]["duration"], abs=0.01)
    (face,) = items(client.post("/v1/classify/face-gender", files=form("faces/group_two.jpg")))
    assert len(face["faces"]) == 2
    assert [box["judged"] for box in face["faces"]] == [True, False]
    assert face["faces"][0]["width"] * face["faces"][0]["height"] >= face["faces"][1]["width"] ** 2
    assert "several_faces" in face["problems"]
    assert face["image"]["width"] > 0
    (voice,) = items(client.post("/v1/classify/ai-voice", files=form("ai_voice/ai_ta_espeak.mp3"), headers=KEYED))
    assert len(voice["features"]) == 47
    assert [vote["model"] for vote in voice["votes"]] == ["deepfake_encoder", "deepfake_cnn", "deepfake_mlp"]
    assert sum(vote["weight"] * vote["score"] for vote in voice["votes"]) == pytest.approx(
        voice["probabilities"]["AI_GENERATED"], abs=1e-6
    )
    assert voice["explanation"]
    assert voice["threshold"] == Settings().voting.threshold


def test_segments_lie_where_the_speech_is(client: httpx.Client, voice: bytes) -> None:
    """Long pauses are cut before a voice is judged; the segments tell of the recording as it was sent."""
    samples, rate = soundfile.read(io.BytesIO(voice), dtype="float32")
    spoken = np.tile(samples, 3)
    silence = np.zeros(10 * rate, np.float32)
    (item,) = items(
        client.post("/v1/classify/voice-gender", files={"file": wav(np.concatenate([silence, spoken])[:, None], rate)})
    )
    assert len(item["segments"]) >= 2
    assert 9.0 <= item["segments"][0]["start"] <= 10.5
    ends = [segment["end"] for segment in item["segments"]]
    starts = [segment["start"] for segment in item["segments"]]
    assert starts == sorted(starts)
    assert ends[-1] == pytest.approx(10 + spoken.size / rate, abs=1.0)
    assert {segment["prediction"] for segment in item["segments"]} == {"male"}


def test_problems(client: httpx.Client) -> None:
    clear = speech(3.0)
    noise = np.random.default_rng(0).standard_normal(clear.shape).astype(np.float32)
    given = {
        "clean": clear * 0.5,
        "quiet": clear / np.abs(clear).max() * 10 ** (-60 / 20),
        "clipped": np.clip(clear / np.abs(clear).max() * 8, -1, 1),
        "noisy": clear * 0.5 + noise * np.sqrt(np.mean(np.square(clear))) * 0.5,
    }
    files = [("file", (name, wav(sound.astype(np.float32), 16_000))) for name, sound in given.items()]
    found = {item["name"]: item for item in items(client.post("/v1/classify/voice-gender", files=files))}
    problems = {name: set(item.get("problems", ["error"])) for name, item in found.items()}
    assert not problems["clean"] & {"too_quiet", "clipped", "too_noisy"}
    assert "too_quiet" in problems["quiet"]
    assert "clipped" in problems["clipped"]
    assert "too_noisy" in problems["noisy"]


def test_one_bad_item_fails_alone(client: httpx.Client, site: LocalSite, voice: bytes) -> None:
    gone = site.site.url("/nothing-here.flac")
    good = {"base64": base64.b64encode(voice).decode(), "name": "good"}
    silence = base64.b64encode(wav(speech(2.0) * 0, 16_000)).decode()
    asked = [
        good, {"base64": "no base64!", "name": "letters"}, {"base64": base64.b64encode(b"no sound").decode()},
        {"url": gone}, {"base64": silence}, {"url": "file:///etc/passwd"}, good,
    ]  # fmt: skip
    response = client.post("/v1/classify/voice-gender", json={"items": asked})
    found = items(response)
    assert [item.get("code", 200) for item in found] == [200, 400, 400, 502, 422, 400, 200]
    for item in found:
        if item["status"] == "error":
            assert item["message"]
            assert item["request_id"] == response.headers["x-request-id"]
    assert "no speech" in found[4]["message"]
    assert "audioBase64" not in response.text


def test_lines_come_in_their_order(client: httpx.Client, voice: bytes) -> None:
    files = [("file", (f"{place}.flac", voice if place % 3 else b"bad")) for place in range(8)]
    with client.stream("POST", "/v1/classify/voice-gender", files=files, headers=NDJSON) as response:
        assert response.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in response.iter_lines()]
    assert [line["name"] for line in lines] == [f"{place}.flac" for place in range(8)]
    assert [line["status"] for line in lines] == ["success" if place % 3 else "error" for place in range(8)]


def test_many_batches_at_once_lose_no_item(bundle: Bundle) -> None:
    """32 clients with 8 different files each: every answer is that of its own file, at its own place."""
    names = ["voices/male_1.flac", "voices/female_1.flac"]
    files = form(*names * 4)
    right = ["male", "female"] * 4

    def ask(place: int) -> list[dict[str, Any]]:
        with bundle.client(timeout=120, headers=NDJSON if place % 2 else {}) as client:
            for _ in range(20):  # a batch as a whole may be told to come back
                response = client.post("/v1/classify/voice-gender", files=files)
                if response.status_code != 429:
                    break
                time.sleep(int(response.headers["retry-after"]))
            assert response.status_code == 200, response.text
            if place % 2:
                return [json.loads(line) for line in response.text.splitlines()]
            return items(response)

    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(ask, range(32)))
    for entries in found:
        assert [entry["index"] for entry in entries] == list(range(8))
        assert [entry.get("prediction", entry) for entry in entries] == right


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"json": {"items": []}}, "items"),
        ({"json": {"items": [{"url": "http://a.example/", "base64": "QQ=="}]}}, "either url or base64"),
        ({"json": {"items": [{}]}}, "items.0: give either url or base64"),
        ({"json": {"items": [{"base64": "QQ=="}] * 17}}, "at most 16"),
        ({"json": []}, "the body"),
        ({"files": [("file", ("x", b"x"))] * 17}, "Too many files. Maximum number of files is 16"),
        ({"data": {"file": ""}}, "multipart/form-data"),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, "multipart/form-data"),
    ],
)
def test_a_malformed_request_is_refused_as_a_whole(client: httpx.Client, options: dict[str, Any], words: str) -> None:
    response = client.post("/v1/classify/voice-gender", **options)
    assert response.status_code in (400, 415)
    assert words.lower() in response.json()["message"].lower()


def test_an_unknown_question_and_a_missing_key(client: httpx.Client, voice: bytes) -> None:
    unknown = client.post("/v1/classify/weather", files={"file": voice})
    assert (unknown.status_code, unknown.json()["status"]) == (404, "error")
    assert "voice-gender" in unknown.json()["message"]
    assert client.post("/v1/classify/ai-voice", files={"file": voice}).status_code == 403
    assert client.get("/v1/classify/voice-gender").status_code == 405


def test_models(client: httpx.Client) -> None:
    found = {model["name"]: model for model in client.get("/v1/models").json()["models"]}
    assert set(client.get("/readyz").json()["models"]) == set(found)
    for name, model in found.items():
        assert model["tag"].startswith(f"{name}:")
        assert model["questions"]
        assert model["licence"]
        assert client.get(model["card"]).status_code == 200
        accuracy = model["figures"]["validation"]["measures"]["accuracy"]
        assert 0 < accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert "sources left out" in found["voice_gender"]["figures"]
    face = registry.specs()["face_gender"].input
    assert isinstance(face, ImageInput)
    assert found["face_gender"]["input"] == {**NOTHING, "kind": "image", "size": face.size}
    assert found["voice_gender"]["input"]["sample_rate"] == 16000


def test_the_typed_method(bundle: Bundle) -> None:
    """BentoML's own client finds the route as a method."""
    encoded = base64.b64encode((ROOT / "tests/data/voices/male_1.flac").read_bytes()).decode()
    with bentoml.SyncHTTPClient(bundle.url, token=KEY) as made:
        found = made.classify_voice_gender(items=[{"base64": encoded}, {"base64": "QQ=="}])
        spoken = made.classify_ai_voice(items=[{"base64": encoded}])
    assert [item["status"] for item in found["items"]] == ["success", "error"]
    assert spoken["items"][0]["prediction"] in {"AI_GENERATED", "HUMAN"}
