"""Heart sound (docs/contract.md), and the latest prediction."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal as signals
import wave
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from cli.heart_sound import predict_class_with_confidence
from media.pcm import pcm_to_wav
from tests.support.audio_bytes import ENCODERS, encode, wav
from tests.support.heart_bytes import JSON, heartbeat, pcm, upload
from tests.support.served import DATA, Bundle, wait_for
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

CLASSES = {"Artifact", "Murmur", "Normal", "Extrahls", "Extrastole"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture
def no_result(bundle: Bundle) -> Iterator[None]:
    """There is no prediction yet, and there will be one afterwards."""
    file = bundle.data_dir / "data.json"
    file.unlink(missing_ok=True)
    yield
    file.unlink(missing_ok=True)


def test_the_answer_is_a_string(client: httpx.Client) -> None:
    response = client.post("/upload_audio", content=pcm(heartbeat()))
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == "text/plain"
    name, confidence = response.text.split(", ")
    assert name in CLASSES
    assert 20 <= float(confidence) <= 100
    assert response.headers["x-model"].startswith("heart_sound:")


def test_what_axios_sends_asks_for_json(client: httpx.Client) -> None:
    headers = {"accept": "application/json, text/plain, */*"}
    response = client.post("/upload_audio", content=pcm(heartbeat()), headers=headers)
    assert set(response.json()) == {"class", "confidence"}


def test_a_client_that_asks_for_json_gets_json(client: httpx.Client) -> None:
    response = upload(client, pcm(heartbeat()))
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"class", "confidence"}
    text = client.post("/upload_audio", content=pcm(heartbeat())).text
    assert text == f"{body['class']}, {body['confidence']}"


@pytest.mark.parametrize("stem", ["normal_1", "murmur_1"])
def test_a_pause_within_a_recording_does_not_turn_the_answer(client: httpx.Client, stem: str) -> None:
    """2 s of silence; it was ``Artifact`` with it."""
    body = (DATA / "hearts" / f"{stem}.pcm").read_bytes()
    half = len(body) // 4 * 2
    plain, paused = (upload(client, one).json() for one in (body, body[:half] + bytes(2 * 32_000) + body[half:]))
    assert plain["class"] == paused["class"] == stem.split("_")[0].capitalize()
    assert paused["confidence"] == pytest.approx(plain["confidence"], abs=15)


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "text/html", "text/*;q=0.5", ""])
def test_other_clients_get_the_string(client: httpx.Client, accept: str) -> None:
    response = client.post("/upload_audio", content=pcm(heartbeat()), headers={"accept": accept})
    assert response.headers["content-type"].split(";")[0] == "text/plain"


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "audio/pcm", "text/plain", "audio/l16"])
def test_any_or_no_content_type(client: httpx.Client, kind: str | None) -> None:
    """``curl --data-binary`` says ``application/x-www-form-urlencoded``."""
    for name in (kind, "application/x-www-form-urlencoded"):
        headers = JSON if name is None else {**JSON, "content-type": name}
        assert client.post("/upload_audio", content=pcm(heartbeat()), headers=headers).status_code == 200


@pytest.mark.parametrize("container", ENCODERS)
def test_a_file_is_read_as_what_it_is(client: httpx.Client, container: str) -> None:
    """At its own rate, as the route for files does; the parameters of raw PCM do not matter."""
    rate = 8_000 if container in {"wav", "flac"} else 16_000
    file = encode(container, heartbeat(rate, level=0.5).astype(np.float32)[:, None], rate)
    expected = client.post("/v1/heart-sound", files={"audio": ("heart", file)}).json()
    assert upload(client, file).json() == expected
    assert upload(client, file, sample_rate=44_100, sample_width=3, num_channels=7).json() == expected
    kind = {"content-type": f"audio/{container}"}
    assert client.post("/upload_audio", content=file, headers={**JSON, **kind}).json() == expected


def test_a_wav_file_gets_the_answer_of_its_samples(client: httpx.Client) -> None:
    """It was read as PCM of 16 kHz: four times too fast."""
    sound = heartbeat(4_000, level=0.5)
    raw = upload(client, pcm(sound), sample_rate=4_000).json()
    file = upload(client, wav(sound, 4_000)).json()
    assert file["class"] == raw["class"]
    assert file["confidence"] == pytest.approx(raw["confidence"], abs=1)


@pytest.mark.parametrize("kind", ["audio/wav", "audio/mpeg", "video/webm", "audio/flac"])
def test_a_content_type_that_names_a_file_is_believed(client: httpx.Client, kind: str) -> None:
    assert_error(client.post("/upload_audio", content=pcm(heartbeat()), headers={"content-type": kind}), 400)


@pytest.mark.usefixtures("no_result")
def test_what_is_neither_a_file_nor_samples_leaves_no_result(client: httpx.Client) -> None:
    sound = pcm(heartbeat())
    encoded = base64.b64encode(sound)
    assert_error(client.post("/upload_audio", files={"audio": ("a.pcm", sound)}), 415, "multipart/form-data")
    assert_error(client.post("/upload_audio", json={"audio": encoded.decode()}), 415, "application/json")
    for body, words in ((encoded, "text"), (b'{"audio": "' + encoded, "text"), (b"\x89PNG\r\n" + sound, "PNG")):
        assert_error(client.post("/upload_audio", content=body), 415, words)
    assert client.get("/").status_code == 404


@pytest.mark.parametrize("seconds", [1 / 16_000, 0.49])
def test_less_than_half_a_second(client: httpx.Client, seconds: float) -> None:
    sound = heartbeat(seconds=seconds)
    assert_error(upload(client, pcm(sound)), 400, "shorter than 0.5 seconds")
    assert_error(upload(client, pcm(sound, channels=2), num_channels=2), 400, "shorter than 0.5 seconds")
    assert_error(upload(client, wav(sound, 16_000)), 400, "shorter than 0.5 seconds")
    response = client.post("/v1/heart-sound", files={"audio": ("a.wav", wav(sound, 16_000))})
    assert_error(response, 400, "shorter than 0.5 seconds")


def test_half_a_second_is_enough(client: httpx.Client) -> None:
    for body in (pcm(heartbeat(seconds=0.5)), wav(heartbeat(seconds=0.5), 16_000)):
        assert upload(client, body).status_code == 200


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [4_000, 44_100])
def test_the_layout_can_be_given(client: httpx.Client, width: int, channels: int, rate: int) -> None:
    body = pcm(heartbeat(rate, level=0.5), width, channels)
    response = upload(client, body, sample_rate=rate, num_channels=channels, sample_width=width)
    assert response.status_code == 200, response.text
    assert response.json()["class"] in CLASSES


def test_the_same_sound_in_any_layout_gets_the_same_answer(client: httpx.Client) -> None:
    answers = [
        upload(client, pcm(heartbeat(level=0.5), width, channels), sample_width=width, num_channels=channels).json()
        for width, channels in [(2, 1), (3, 1), (4, 2)]
    ]
    assert len({answer["class"] for answer in answers}) == 1
    assert np.ptp([answer["confidence"] for answer in answers]) < 2


def test_amplification_is_limited_by_the_headroom(client: httpx.Client) -> None:
    """What fills the scale already is not distorted: any factor gives the answer of factor 1."""
    sound = heartbeat()
    loud = pcm(sound / np.abs(sound).max())
    answers = [upload(client, loud, amplification_factor=factor).json() for factor in (1, 10, 1000)]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    "parameters",
    [
        {"sample_rate": 0}, {"sample_rate": "fast"}, {"sample_rate": 10**12}, {"num_channels": 0},
        {"num_channels": -1}, {"sample_width": 0}, {"sample_width": 5}, {"sample_width": 1.5},
        {"amplification_factor": 0}, {"amplification_factor": -1}, {"amplification_factor": "nan"},
        {"amplification_factor": "inf"}, {"amplification_factor": "loud"},
    ],
    ids=str,
)  # fmt: skip
def test_a_parameter_that_cannot_be_right(client: httpx.Client, parameters: dict[str, object]) -> None:
    assert_error(upload(client, pcm(heartbeat()), **parameters), 400, next(iter(parameters)))


def test_empty_body(client: httpx.Client) -> None:
    body = assert_error(client.post("/upload_audio"), 400)
    assert body["message"] == "No audio data received"


@pytest.mark.parametrize(("extra", "parameters"), [(1, {}), (2, {"num_channels": 2}), (1, {"sample_width": 3})])
def test_not_a_whole_number_of_frames(client: httpx.Client, extra: int, parameters: dict[str, object]) -> None:
    assert_error(upload(client, bytes(1200 + extra), **parameters), 400, "whole number of frames")


def test_too_long(small_client: httpx.Client) -> None:
    """``MAX_AUDIO_SECONDS`` is 6 here."""
    assert_error(upload(small_client, bytes(2 * 7 * 8_000), sample_rate=8_000), 413, "longer than 6 seconds")


@pytest.mark.usefixtures("no_result")
def test_no_prediction_yet(client: httpx.Client) -> None:
    assert_error(client.get("/"), 404, "no heart sound")


@pytest.mark.usefixtures("no_result")
def test_the_latest_prediction_is_stored_when_the_answer_arrives(bundle: Bundle, client: httpx.Client) -> None:
    for level in (0.02, 0.4):
        answer = upload(client, pcm(heartbeat(level=level))).json()
        assert json.loads((bundle.data_dir / "data.json").read_text()) == answer
        latest = client.get("/")
        assert latest.status_code == 200
        assert latest.headers["content-type"] == "application/json"
        assert latest.json() == answer


@pytest.mark.usefixtures("no_result")
def test_a_failed_request_leaves_the_latest_prediction(client: httpx.Client) -> None:
    answer = upload(client, pcm(heartbeat())).json()
    assert upload(client, b"").status_code == 400
    assert upload(client, b"\1\2\3").status_code == 400
    assert client.get("/").json() == answer


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "image/png", "text/plain", "text/html;q=0.5, */*"])
@pytest.mark.usefixtures("no_result")
def test_a_client_that_does_not_ask_for_html_gets_json(client: httpx.Client, accept: str) -> None:
    upload(client, pcm(heartbeat()))
    assert client.get("/", headers={"accept": accept}).headers["content-type"] == "application/json"


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "text/html, application/json;q=0.5", "text/html, */*"])
def test_a_browser_gets_the_landing_page(client: httpx.Client, accept: str) -> None:
    response = client.get("/", headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == "text/html"
    assert response.headers["vary"]
    assert "<html" in response.text.lower()


NO_NUMBER = b'{"class": "Normal", "confidence": null}'


@pytest.mark.parametrize("content", [b"", b'{"class": "Nor', b"[]", b'{"class": 1}', b"\xff\xfe\x00", NO_NUMBER])
@pytest.mark.usefixtures("no_result")
def test_a_store_that_cannot_be_read(bundle: Bundle, client: httpx.Client, content: bytes) -> None:
    (bundle.data_dir / "data.json").write_bytes(content)
    assert_error(client.get("/"), 500, "cannot be read")
    upload(client, pcm(heartbeat()))
    assert client.get("/").status_code == 200  # the next result heals it


@pytest.mark.usefixtures("no_result")
def test_storage_that_cannot_be_written(bundle: Bundle, client: httpx.Client) -> None:
    """A file in place of the folder, since root writes into any folder; ``tests/unit/storage`` fills a disk."""
    aside = bundle.data_dir.rename(bundle.folder / "aside")
    bundle.data_dir.write_text("a file")
    try:
        for _ in range(2):
            assert_error(upload(client, pcm(heartbeat())), 507, "cannot be kept")
    finally:
        bundle.data_dir.unlink()
        aside.rename(bundle.data_dir)
    assert client.get("/", headers={"accept": "application/json"}).status_code == 404
    assert upload(client, pcm(heartbeat())).status_code == 200


def test_it_survives_a_crash(bundle: Bundle, client: httpx.Client) -> None:
    """``kill -9`` of the API process right after an answer."""
    answer = upload(client, pcm(heartbeat())).json()
    for pid in bundle.workers("MediaClassifier"):
        os.kill(pid, signals.SIGKILL)
    wait_for(bundle.is_ready, 60)
    assert client.get("/").json() == answer


def test_all_workers_agree_on_the_latest(small_bundle: Bundle) -> None:
    """There are two API processes here; each new connection may reach either."""
    for level in (0.1, 0.3):
        with small_bundle.client() as client:
            answer = upload(client, pcm(heartbeat(8_000, level=level)), sample_rate=8_000).json()
        for _ in range(10):
            with small_bundle.client() as client:
                assert client.get("/").json() == answer


def test_pcm_to_wav_without_the_server() -> None:
    quiet = pcm(heartbeat(level=0.02))
    with wave.open(io.BytesIO(pcm_to_wav(quiet))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        louder = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert np.array_equal(louder, np.frombuffer(quiet, "<i2") * 10)


@pytest.mark.usefixtures("store")
def test_predict_class_with_confidence_without_the_server(tmp_path: object, client: httpx.Client) -> None:
    """The same answer as over HTTP, as an index into the model's classes and a percentage."""
    from pathlib import Path

    from models.heart_sound import SPEC

    sound = pcm(heartbeat())
    file = Path(str(tmp_path)) / "heart.wav"
    file.write_bytes(pcm_to_wav(sound))
    index, confidence = predict_class_with_confidence(str(file))
    served = upload(client, sound).json()
    assert SPEC.classes[index] == served["class"]
    assert confidence == pytest.approx(served["confidence"], abs=0.2)


NOISE = np.random.default_rng(1).standard_normal(16_000 * 5)
TONE = np.sin(2 * np.pi * 300 * np.arange(16_000 * 5) / 16_000)


@pytest.mark.parametrize(
    ("samples", "gain", "problem"),
    [
        (heartbeat(seconds=1.5), 10.0, "too_short"),
        (heartbeat(level=0.0002), 1.0, "too_quiet"),
        (0.02 * NOISE, 10.0, "too_noisy"),
        (0.02 * NOISE, 10.0, "no_heart_beat"),
        (0.3 * TONE, 1.0, "no_heart_beat"),
        (0.0 * NOISE, 1.0, "no_heart_beat"),
        (heartbeat(), 10.0, None),
    ],
    ids=["short", "quiet", "noise", "noise without a beat", "tone", "silence", "good"],
)
def test_what_is_hard_to_judge_is_counted_and_logged(
    bundle: Bundle, client: httpx.Client, samples: np.ndarray, gain: float, problem: str | None
) -> None:
    """The answer stays in its shape."""
    before = counted(client)
    response = upload(client, pcm(samples), amplification_factor=gain)
    assert response.status_code == 200
    assert set(response.json()) == {"class", "confidence"}
    more = {name for name, count in counted(client).items() if count > before[name]}
    logged = {line["problem"] for line in bundle.log_of(response.headers["x-request-id"]) if "problem" in line}
    assert more == logged
    assert problem in more if problem else not more


def counted(client: httpx.Client) -> dict[str, float]:
    """How many recordings had each problem."""
    metrics = client.get("/metrics").text
    pairs = re.findall(r'^bundle_recording_quality_total\{.*problem="(\w+)"\} (\S+)', metrics, re.MULTILINE)
    return {name: float(count) for name, count in pairs}


def test_every_route_counts_what_is_hard_to_judge(client: httpx.Client) -> None:
    before = counted(client)["no_heart_beat"]
    file = {"file": ("noise.wav", pcm_to_wav(pcm(0.02 * NOISE)))}
    assert client.post("/v1/classify/heart-sound", files=file).status_code == 200
    assert client.post("/ui/ask/heart-sound", content=pcm_to_wav(pcm(0.02 * NOISE))).status_code == 200
    assert counted(client)["no_heart_beat"] == before + 2
