"""AI-generated voice (docs/contract.md)."""

from __future__ import annotations

import base64
import re
from typing import Any

import httpx
import numpy as np
import pytest

from core.settings import VOTING
from media.audio import AudioLimits, decode
from tests.support.audio_bytes import ENCODERS, Signal, encode, tone, wav
from tests.support.served import DATA, KEY, SECOND_KEY, Bundle, wait_for
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

ROUTE = "/api/voice-detection"
LANGUAGES = ["Tamil", "English", "Hindi", "Malayalam", "Telugu"]
FEATURES = ["jitter", "shimmer", "phase coherence", "HNR", "spectral flatness", "RMS variance"]


def body(audio: bytes, name: str = "wav", language: str = "Tamil", prefix: str = "") -> dict[str, str]:
    return {"language": language, "audioFormat": name, "audioBase64": prefix + base64.b64encode(audio).decode()}


def ask(client: httpx.Client, content: Any, key: str | None = KEY) -> httpx.Response:
    return client.post(ROUTE, json=content, headers={} if key is None else {"x-api-key": key})


def answer(client: httpx.Client, content: Any) -> dict[str, Any]:
    response = ask(client, content)
    assert response.status_code == 200, response.text
    answered: dict[str, Any] = response.json()
    return answered


@pytest.fixture(scope="module")
def samples(voice: bytes) -> Signal:
    """The voice, float32 [frames, 1] at 16 kHz."""
    return decode(voice, limits=AudioLimits()).samples[:, None]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer(client: httpx.Client, voice: bytes, language: str) -> None:
    response = ask(client, body(voice, "flac", language))
    assert response.status_code == 200, response.text
    answered = response.json()
    assert set(answered) == {"status", "language", "classification", "confidenceScore", "explanation"}
    assert answered["status"] == "success"
    assert answered["language"] == language
    assert answered["classification"] in {"AI_GENERATED", "HUMAN"}
    assert 0.5 <= answered["confidenceScore"] <= 1


def test_three_models_answer(client: httpx.Client, voice: bytes) -> None:
    models = ask(client, body(voice, "flac")).headers["x-model"].split(", ")
    assert {tag.split(":")[0] for tag in models} == {"deepfake_encoder", "deepfake_cnn", "deepfake_mlp"}


@pytest.mark.parametrize("container", ENCODERS)
def test_all_seven_formats(client: httpx.Client, samples: Signal, container: str) -> None:
    assert answer(client, body(encode(container, samples, 16_000), container))["status"] == "success"


@pytest.mark.parametrize(
    "prefix",
    ["data:audio/wav;base64,", "data:;base64,", "data:audio/mpeg;codecs=mp3;base64,", "DATA:audio/wav;BASE64,"],
)
def test_a_data_uri_is_accepted(client: httpx.Client, samples: Signal, prefix: str) -> None:
    file = wav(samples, 16_000)
    assert answer(client, body(file, prefix=prefix)) == answer(client, body(file))


def test_another_format_than_declared_is_accepted_and_noted(
    bundle: Bundle, client: httpx.Client, samples: Signal
) -> None:
    response = ask(client, body(encode("mp3", samples, 16_000), "wav"))
    assert response.status_code == 200
    notes = [line for line in bundle.log_of(response.headers["x-request-id"]) if line["logger"] != "bundle.access"]
    assert any("wav" in str(line) and "mp3" in str(line) for line in notes), notes


def test_the_score_and_the_confidence(client: httpx.Client, samples: Signal) -> None:
    """The weighted mean, AI_GENERATED above the threshold, as the explanation states the members."""
    weights, threshold, _ = VOTING["compact"]
    for signal in (samples, np.resize(samples, (80_000, 1)), samples * 0.2):
        answered = answer(client, body(wav(signal, 16_000)))
        score = float(re.search(r"AI score (\d\.\d+)", answered["explanation"]).group(1))  # type: ignore[union-attr]
        members = [float(value) for value in re.findall(r"(?:encoder|CNN|network) (\d\.\d+)", answered["explanation"])]
        assert len(members) == 3
        assert score == pytest.approx(float(np.dot(weights, members)), abs=0.02)
        if abs(score - threshold) > 0.01:
            assert answered["classification"] == ("AI_GENERATED" if score > threshold else "HUMAN")
        side = 1 - threshold if answered["classification"] == "AI_GENERATED" else threshold
        assert answered["confidenceScore"] == pytest.approx(0.5 + 0.5 * abs(score - threshold) / side, abs=0.02)
        assert answered["confidenceScore"] >= 0.5


def measured(explanation: str) -> dict[str, str]:
    """The value that an explanation states for each feature."""
    found = {name: re.search(rf"{name} (-?[\d.]+(?:e-?\d+)?)", explanation) for name in FEATURES}
    return {name: match.group(1) for name, match in found.items() if match}


def test_the_explanation_has_the_measured_values_of_this_clip(client: httpx.Client, samples: Signal) -> None:
    from dsp.features import extract, named

    values = named(extract(samples[:, 0]))
    stated = measured(answer(client, body(wav(samples, 16_000, "FLOAT")))["explanation"])
    assert set(stated) == set(FEATURES)
    for name, key, factor in [
        ("jitter", "jitter", 100), ("shimmer", "shimmer", 100), ("phase coherence", "phase_coherence", 1),
        ("HNR", "hnr", 1), ("spectral flatness", "spectral_flatness", 1), ("RMS variance", "rms_variance", 1),
    ]:  # fmt: skip
        assert float(stated[name]) == pytest.approx(values[key] * factor, rel=0.02, abs=1e-4)


def test_explanations_of_different_clips_differ(client: httpx.Client) -> None:
    files = [(DATA / "voices" / f"{name}.flac").read_bytes() for name in ("male_1", "male_2", "female_1")]
    explanations = [answer(client, body(file, "flac"))["explanation"] for file in files]
    values = [tuple(measured(text).values()) for text in explanations]
    assert len(set(values)) == 3
    assert len(set(explanations)) == 3


def test_what_comes_behind_30_s_of_speech_has_no_say(client: httpx.Client, samples: Signal) -> None:
    long = np.resize(samples, (80 * 16_000, 1))
    longer = np.concatenate([long, tone(16_000, 20.0)])
    first, second = (answer(client, body(wav(signal, 16_000))) for signal in (long, longer))
    assert first["confidenceScore"] == pytest.approx(second["confidenceScore"], abs=0.05)


def test_speech_behind_a_long_tone_is_found(client: httpx.Client, samples: Signal) -> None:
    """The first 30 s of speech count, not those of the file."""
    late = np.concatenate([tone(16_000, 45.0, amplitude=0.05), np.resize(samples, (10 * 16_000, 1))])
    assert answer(client, body(wav(late, 16_000)))["status"] == "success"


@pytest.mark.parametrize("seconds", [0.01, 3.0, 40.0])
def test_a_recording_without_speech_is_said_to_be_one(client: httpx.Client, seconds: float) -> None:
    assert_error(ask(client, body(wav(tone(16_000, seconds), 16_000))), 422, "no speech was found in the recording")


@pytest.mark.parametrize("container", ["flac", "mp3", "m4a"])
def test_longer_than_the_longest_recording_is_cut_too(client: httpx.Client, samples: Signal, container: str) -> None:
    """Whether its header says so or not: ``MAX_AUDIO_SECONDS`` is 600."""
    audio = encode(container, np.resize(samples, (700 * 16_000, 1)), 16_000)
    assert answer(client, body(audio, container))["status"] == "success"


def test_shorter_than_1_s_is_padded(client: httpx.Client, samples: Signal) -> None:
    short = samples[8_000:20_000]
    padded = np.concatenate([short, np.zeros((4_000, 1), np.float32)])
    first, second = (answer(client, body(wav(signal, 16_000))) for signal in (short, padded))
    assert first["confidenceScore"] == pytest.approx(second["confidenceScore"], abs=0.1)


def test_other_rates_are_brought_to_16_khz(client: httpx.Client, samples: Signal) -> None:
    import soxr

    other = soxr.resample(samples[:, 0], 16_000, 44_100)
    stereo = np.stack([other, other], axis=1)
    first, second = (answer(client, body(wav(s, r))) for s, r in ((samples, 16_000), (stereo, 44_100)))
    assert first["confidenceScore"] == pytest.approx(second["confidenceScore"], abs=0.15)


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], KEY + "x", KEY.upper(), f"{KEY}, {SECOND_KEY}"])
def test_a_missing_or_wrong_key(client: httpx.Client, voice: bytes, key: str | None) -> None:
    found = assert_error(ask(client, body(voice, "flac"), key), 403)
    assert found["message"] == "Invalid API key provided"


@pytest.mark.parametrize("key", [KEY, SECOND_KEY, "third-key-99"])
def test_each_configured_key(client: httpx.Client, voice: bytes, key: str) -> None:
    assert ask(client, body(voice, "flac"), key).status_code == 200


def test_the_key_is_asked_for_first(client: httpx.Client) -> None:
    assert_error(client.post(ROUTE, content=b"nonsense"), 403)


def test_no_key_configured(small_bundle: Bundle, small_client: httpx.Client, voice: bytes) -> None:
    for key in (None, "", "anything"):
        found = assert_error(ask(small_client, body(voice, "flac"), key), 403)
        assert found["message"] == "Invalid API key provided"
    wait_for(lambda: "no API_KEY is configured" in small_bundle.log_file.read_text())


def test_a_preflight_needs_no_key(client: httpx.Client) -> None:
    """A browser sends no key with it."""
    headers = {
        "origin": "https://elsewhere.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type, x-api-key",
    }
    response = client.options(ROUTE, headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "x-api-key" in response.headers["access-control-allow-headers"].lower()


def test_a_preflight_of_an_origin_that_may_not_call(small_client: httpx.Client) -> None:
    headers = {"origin": "https://c.example", "access-control-request-method": "POST"}
    response = small_client.options(ROUTE, headers=headers)
    assert_error(response, 400, "origin")
    assert "access-control-allow-origin" not in response.headers


GOOD = {"language": "Tamil", "audioFormat": "wav", "audioBase64": "UklGRg=="}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"language": "French"}, "language"), ({"language": "tamil"}, "language"), ({"language": None}, "language"),
        ({"audioFormat": "exe"}, "audioFormat"), ({"audioFormat": 3}, "audioFormat"),
        ({"audioBase64": ""}, "audioBase64"), ({"audioBase64": None}, "audioBase64"),
        ({"audioBase64": "!!! no base64 !!!"}, "base64"), ({"audioBase64": "data:audio/wav,abc"}, "base64"),
        ({"audioBase64": base64.b64encode(b"words, not audio").decode()}, "not audio"),
        ({"audioBase64": base64.b64encode(wav(tone(8_000)[:0], 8_000)).decode()}, ""),
    ],
)  # fmt: skip
def test_a_bad_body(client: httpx.Client, change: dict[str, object], words: str) -> None:
    assert_error(ask(client, GOOD | change), 400, words)


@pytest.mark.parametrize("field", list(GOOD))
def test_a_missing_field(client: httpx.Client, field: str) -> None:
    assert_error(ask(client, {name: value for name, value in GOOD.items() if name != field}), 400, field)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"{}" * 10])
def test_no_json_object(client: httpx.Client, content: bytes) -> None:
    headers = {"content-type": "application/json", "x-api-key": KEY}
    assert_error(client.post(ROUTE, content=content, headers=headers), 400)


def test_neither_key_nor_audio_is_logged(bundle: Bundle, client: httpx.Client, voice: bytes) -> None:
    encoded = base64.b64encode(voice).decode()
    ask(client, body(voice, "flac"))
    ask(client, body(voice, "flac"), "wrong-key-marker")
    ask(client, {"language": "language-marker", "audioFormat": "flac", "audioBase64": encoded})
    ask(client, {"language": "Tamil", "audioFormat": "flac", "audioBase64": "base64-marker" + encoded[:-9]})
    request_id = ask(client, body(voice, "flac")).headers["x-request-id"]
    bundle.log_of(request_id)
    for text in (bundle.stderr, bundle.log_file.read_text()):
        assert not [s for s in (KEY, SECOND_KEY, "-marker", encoded[100:140]) if s in text]
