"""Voice gender (docs/contract.md)."""

from __future__ import annotations

import os
import signal as signals
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soxr

from media.audio import AudioLimits, decode
from tests.support.audio_bytes import Signal, encode, film, tone, wav
from tests.support.served import DATA, Bundle
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

ROUTE = "/api/detect-gender"


def ask(client: httpx.Client, audio: bytes, name: str = "voice.wav") -> httpx.Response:
    return client.post(ROUTE, files={"audio": (name, audio)})


def spoken(voice: bytes, rate: int, channels: int) -> np.ndarray:
    """The voice at another rate, on several channels of which each has a part."""
    samples = soxr.resample(decode(voice, limits=AudioLimits(), target_rate=16_000).samples, 16_000, rate)
    shares = np.linspace(1.0, 0.6, channels)
    return np.asarray(np.clip(samples[:, None] * shares, -1, 1), np.float32)


def test_the_answer_is_both_classes_highest_score_first(client: httpx.Client, voice: bytes) -> None:
    response = ask(client, voice)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert [set(item) for item in answer] == [{"score", "label"}] * 2
    assert {item["label"] for item in answer} == {"male", "female"}
    assert answer[0]["score"] >= answer[1]["score"]
    assert sum(item["score"] for item in answer) == pytest.approx(1, abs=1e-4)
    assert response.headers["x-model"].startswith("voice_gender:")


@pytest.mark.parametrize("name", ["male_1", "male_2", "female_1"])
def test_known_voices(client: httpx.Client, name: str) -> None:
    answer = ask(client, (DATA / "voices" / f"{name}.flac").read_bytes()).json()
    assert answer[0]["label"] == name.split("_")[0]


@pytest.mark.parametrize(
    ("container", "rate", "channels"),
    [
        ("wav", 16_000, 1), ("wav", 8_000, 1), ("wav", 11_025, 2), ("wav", 44_100, 6), ("wav", 192_000, 2),
        ("flac", 37_800, 1), ("flac", 96_000, 8), ("mp3", 22_050, 2), ("mp3", 44_100, 1), ("ogg", 48_000, 2),
        ("webm", 48_000, 1), ("webm", 24_000, 2), ("m4a", 44_100, 2), ("m4a", 8_000, 1), ("aac", 32_000, 2),
    ],
)  # fmt: skip
def test_any_rate_any_channels_any_container(
    client: httpx.Client, voice: bytes, container: str, rate: int, channels: int
) -> None:
    answer = ask(client, encode(container, spoken(voice, rate, channels), rate), f"voice.{container}").json()
    assert answer[0]["label"] == "male"


def reading(voice: bytes, seconds: float) -> bytes:
    """A voice for so long, as a WAV file at 16 kHz."""
    samples = decode(voice, limits=AudioLimits()).samples
    return wav(np.resize(samples, (round(seconds * 16_000), 1)), 16_000)


@pytest.mark.parametrize("seconds", [1.0, 30.0, 200.0])
def test_very_short_and_long_recordings_are_answered(client: httpx.Client, voice: bytes, seconds: float) -> None:
    response = ask(client, reading(voice, seconds))
    assert response.status_code == 200
    assert sum(item["score"] for item in response.json()) == pytest.approx(1, abs=1e-4)


NO_SPEECH = {
    "silence": np.zeros((48_000, 1), np.float32),
    "a tone": tone(16_000, 3.0),
    "noise": np.random.default_rng(0).normal(0, 0.1, (48_000, 1)).astype(np.float32),
    "an instant": tone(16_000, 0.01),
}


@pytest.mark.parametrize("sound", NO_SPEECH.values(), ids=NO_SPEECH)
def test_a_recording_without_speech_is_said_to_be_one(client: httpx.Client, sound: Signal) -> None:
    assert_error(ask(client, wav(sound, 16_000)), 422, "no speech was found in the recording")


@pytest.mark.parametrize("before", [0, 15])
@pytest.mark.parametrize("after", [0, 30])
def test_silence_has_no_vote(client: httpx.Client, voice: bytes, before: int, after: int) -> None:
    samples = decode(voice, limits=AudioLimits()).samples
    around = np.pad(samples, (before * 16_000, after * 16_000))[:, None]
    plain, padded = (ask(client, wav(clip, 16_000)).json() for clip in (samples[:, None], around))
    assert plain[0]["label"] == padded[0]["label"]
    assert plain[0]["score"] == pytest.approx(padded[0]["score"], abs=0.1)


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (b"", "empty"),
        (b"These are just words, and quite a few of them, but no audio at all.", "not audio"),
        (b"\x00" * 5000, "not audio"),
        (wav(tone(16_000, 1.0)[:0], 16_000), ""),
        (wav(tone(16_000), 16_000)[:44], ""),
        (film(sound=False), "no sound"),
    ],
    ids=["empty", "text", "zero-bytes", "zero-samples", "header-only", "film-without-sound"],
)
def test_a_file_without_sound_is_a_bad_request(client: httpx.Client, audio: bytes, words: str) -> None:
    assert_error(ask(client, audio), 400, words)


def test_a_missing_file_is_a_bad_request(client: httpx.Client, wav_file: bytes) -> None:
    assert_error(client.post(ROUTE, files={"sound": ("a.wav", wav_file)}), 400, "audio")
    assert_error(client.post(ROUTE, files={"other": (None, "text")}), 400, "audio")
    assert_error(client.post(ROUTE), 400, "audio")


def test_a_broken_form_is_a_bad_request(client: httpx.Client) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        assert_error(client.post(ROUTE, content=b"--y\r\nnonsense", headers={"content-type": kind}), 400, "form")


def test_samples_that_are_not_numbers_are_a_bad_request(client: httpx.Client) -> None:
    assert_error(ask(client, wav(np.full((16_000, 1), np.nan, np.float32), 16_000, "FLOAT")), 400, "finite")


def test_longer_than_the_limit(small_client: httpx.Client, voice: bytes) -> None:
    """``MAX_AUDIO_SECONDS`` is 6 here; neither the claim of a header nor its absence gets around it."""
    long = tone(8_000, 7.0)
    assert_error(ask(small_client, wav(long, 8_000)), 413, "longer than 6 seconds")
    assert_error(ask(small_client, encode("mp3", long, 8_000)), 413, "longer than 6 seconds")
    assert ask(small_client, reading(voice, 5.9)).status_code == 200


@pytest.fixture
def stopped(small_bundle: Bundle) -> Iterator[None]:
    """The voice gender runner hangs."""
    workers = small_bundle.workers("VoiceGender")
    for pid in workers:
        os.kill(pid, signals.SIGSTOP)
    yield
    for pid in workers:
        os.kill(pid, signals.SIGCONT)
    small_bundle.wait_until_ready()


@pytest.mark.usefixtures("stopped")
def test_inference_above_the_time_limit(small_client: httpx.Client, wav_file: bytes) -> None:
    """``REQUEST_TIMEOUT_S`` is 5 here, less than the time after which a silent runner counts as down."""
    assert_error(ask(small_client, wav_file), 504, "5 seconds")


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_nothing_uploaded_stays_on_disk(bundle: Bundle, client: httpx.Client, wav_file: bytes, voice: bytes) -> None:
    before = files_below(bundle.temporary_dir) | files_below(bundle.data_dir)
    large = reading(voice, 75.0)
    assert len(large) > 2 << 20
    assert ask(client, large).status_code == 200
    assert ask(client, b"\0" * (3 << 20)).status_code == 400
    client.post("/api/gender", files={"image": b"\0" * (3 << 20)})
    client.post("/upload_audio", content=b"\0" * (3 << 20))
    client.post("/v1/voice-gender", files={"audio": ("a.wav", large)})
    client.post("/v1/heart-sound", files={"audio": ("a.wav", wav_file)})
    left = (files_below(bundle.temporary_dir) | files_below(bundle.data_dir)) - before
    assert {path.name for path in left} <= {"data.json"}  # the latest heart result, which the contract wants there


def test_no_upload_is_on_disk_meanwhile_either(bundle: Bundle, client: httpx.Client, voice: bytes) -> None:
    """A file that was deleted while open does not show in its folder, but in the process that has it open."""
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for pid in bundle.workers("MediaClassifier"):
                for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                    try:
                        seen.add(str(descriptor.readlink()))
                    except OSError:
                        continue

    large = reading(voice, 180.0)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        for path in (ROUTE, "/v1/voice-gender"):
            assert client.post(path, files={"audio": ("a.wav", large)}).status_code == 200
    finally:
        done.set()
        watcher.join(60)
    assert seen
    assert not [path for path in seen if path.startswith(str(bundle.temporary_dir)) and "uds" not in path]
    assert not [path for path in seen if "(deleted)" in path and path.startswith("/tmp")]


def test_a_page_of_another_origin_may_call(client: httpx.Client, voice: bytes) -> None:
    response = client.post(ROUTE, files={"audio": voice}, headers={"origin": "https://elsewhere.example"})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in response.headers["access-control-expose-headers"].lower()


def test_errors_too_may_be_read_from_another_origin(client: httpx.Client) -> None:
    for path in (ROUTE, "/nowhere"):
        response = client.post(path, headers={"origin": "https://elsewhere.example"})
        assert response.status_code in {400, 404}
        assert response.headers["access-control-allow-origin"] == "*"


def test_origins_are_configurable(small_client: httpx.Client) -> None:
    allowed = small_client.get("/health", headers={"origin": "https://b.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://b.example"
    other = small_client.get("/health", headers={"origin": "https://c.example"})
    assert "access-control-allow-origin" not in other.headers


def test_the_request_and_its_mime_type_are_logged(bundle: Bundle, client: httpx.Client, voice: bytes) -> None:
    request_id = ask(client, voice, "renamed.mp3").headers["x-request-id"]
    lines = bundle.log_of(request_id)
    assert [line["mime_type"] for line in lines if "mime_type" in line] == ["audio/flac"]
    (access,) = (line for line in lines if line["logger"] == "bundle.access")
    assert (access["method"], access["route"], access["status"]) == ("POST", ROUTE, 200)


def test_health(client: httpx.Client) -> None:
    response = client.get("/health")
    assert (response.status_code, response.text) == (200, "OK")
    assert response.headers["content-type"].split(";")[0] == "text/plain"
