"""Audio scene (docs/contract.md): audio analysis by URL."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from api.routes.audio_scene import EXAMPLE
from media.audio import AudioLimits, decode
from media.examples import MUSIC_URL
from tests.support.audio_bytes import encode, tone, wav
from tests.support.http_site import raw, redirect, reply
from tests.support.served import Bundle
from tests.support.shapes import assert_error
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

CLASSES = {"speech", "music", "noise", "silence"}


def ask(client: httpx.Client, url: str) -> httpx.Response:
    return client.post("/analyze-audio", json={"audio_url": url})


def analysed(client: httpx.Client, url: str) -> dict[str, Any]:
    response = ask(client, url)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


def test_the_answer(client: httpx.Client, site: LocalSite) -> None:
    url = site.add_file("/answer.wav", wav(tone(22_050, 3.456, 2), 22_050))
    response = ask(client, url)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"status", "data"}
    assert body["status"] == "success"
    assert set(body["data"]) == {"duration", "sample_rate", "channels", "classification"}
    assert body["data"]["classification"] in CLASSES
    assert response.headers["x-model"].startswith("audio_scene:")


@pytest.mark.parametrize(
    ("container", "rate", "channels", "seconds"),
    [("wav", 22_050, 2, 3.456), ("wav", 8_000, 1, 1.0), ("flac", 96_000, 6, 2.25), ("mp3", 44_100, 2, 4.0)],
)
def test_duration_rate_and_channels_are_those_of_the_source(
    client: httpx.Client, site: LocalSite, container: str, rate: int, channels: int, seconds: float
) -> None:
    file = encode(container, tone(rate, seconds, channels), rate)
    data = analysed(client, site.add_file(f"/source-{rate}.{container}", file))
    assert (data["sample_rate"], data["channels"]) == (rate, channels)
    assert data["duration"] == pytest.approx(seconds, abs=0.06 if container == "mp3" else 0.005)
    assert data["duration"] == round(data["duration"], 2)


def test_speech(client: httpx.Client, site: LocalSite, voice: bytes) -> None:
    assert analysed(client, site.add_file("/speech.flac", voice))["classification"] == "speech"


def test_silence(client: httpx.Client, site: LocalSite) -> None:
    file = wav(np.zeros((48_000, 1), np.float32), 16_000)
    assert analysed(client, site.add_file("/silence.wav", file))["classification"] == "silence"


def test_longer_than_a_window_is_analysed_over_all_of_it(client: httpx.Client, site: LocalSite, voice: bytes) -> None:
    """Three seconds of noise at the start do not hide half a minute of speech after it."""
    speech = decode(voice, limits=AudioLimits()).samples
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * 16_000).astype(np.float32)
    whole = np.concatenate([noise, *[speech] * 8])[:, None]
    data = analysed(client, site.add_file("/long.wav", wav(whole, 16_000)))
    assert data["classification"] == "speech"
    assert data["duration"] == pytest.approx(len(whole) / 16_000, abs=0.01)


def test_a_repeated_url_is_not_downloaded_again(client: httpx.Client, site: LocalSite) -> None:
    url = site.add_file("/again.wav", wav(tone(16_000), 16_000))
    first, second = ask(client, url), ask(client, url)
    assert first.json() == second.json()
    assert first.headers["x-model"] == second.headers["x-model"]
    assert site.hits("/again.wav") == 1


def test_another_query_is_another_url(client: httpx.Client, site: LocalSite) -> None:
    url = site.add_file("/query.wav", wav(tone(16_000), 16_000))
    for query in ("?a=1", "?a=2", "?a=1"):
        analysed(client, url + query)
    assert site.hits("/query.wav") == 2


@pytest.mark.parametrize("which", ["bundle", "small_bundle"])
def test_many_at_once_cause_one_download(which: str, request: pytest.FixtureRequest, site: LocalSite) -> None:
    """In one API process and, with ``small_bundle``, in two."""
    bundle: Bundle = request.getfixturevalue(which)
    path = f"/crowd-{which}.wav"
    file = reply(200, wav(tone(8_000, 4.0), 8_000))

    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.7)
        writer.write(file)

    url = site.add(path, slow)

    def one(_: int) -> httpx.Response:
        with bundle.client() as client:
            return ask(client, url)

    with ThreadPoolExecutor(30) as crowd:
        answers = list(crowd.map(one, range(30)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert site.hits(path) == 1


def test_failures_are_not_remembered(client: httpx.Client, site: LocalSite) -> None:
    url = site.add("/later.wav", reply(503))
    assert_error(ask(client, url), 502)
    site.add_file("/later.wav", wav(tone(16_000), 16_000))
    assert ask(client, url).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/a.wav", "data:audio/wav;base64,AAAA", "gopher://127.0.0.1/",
        "not a url", "http://", "https:///a.wav", "http://user:secret@example.org/a.wav",
        "http://127.0.0.2/a.wav", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://0.0.0.0/",
        "http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://2130706434/", "http://0x7f.2/", "http://127.2/",
        "http://100.64.0.1/", "http://192.168.1.1:8080/", "http://[fd00::1]/", "http://[fe80::1%25eth0]/",
    ],
)  # fmt: skip
def test_a_url_that_is_refused(client: httpx.Client, url: str) -> None:
    body = assert_error(ask(client, url), 400)
    assert "secret" not in body["message"]


@pytest.mark.parametrize("target", ["http://127.0.0.2/a.wav", "http://169.254.169.254/", "file:///etc/passwd"])
def test_every_redirect_is_checked(client: httpx.Client, site: LocalSite, target: str) -> None:
    assert_error(ask(client, site.add("/away", redirect(target))), 400)


def test_redirects_are_followed_and_counted(client: httpx.Client, site: LocalSite) -> None:
    last = site.add_file("/last.wav", wav(tone(16_000), 16_000))
    assert ask(client, site.add("/hop", redirect(last))).status_code == 200
    assert_error(ask(client, site.add("/loop", redirect("/loop"))), 502, "redirects")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"{", b'{"audio_url": null}', b'{"audio_url": ["http://a"]}', b'{"audio_url": ""}',
     b'{"url": "http://example.org"}', b'{"audio_url": "\xff"}', b'{"audio_url": "\\ud800"}'],
)  # fmt: skip
def test_a_bad_body(client: httpx.Client, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    assert_error(client.post("/analyze-audio", content=body, headers=headers), 400)


def test_another_content_type(client: httpx.Client) -> None:
    assert_error(client.post("/analyze-audio", data={"audio_url": "http://example.org/"}), 415, "application/json")


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_an_error_of_the_other_server(client: httpx.Client, site: LocalSite, status: int) -> None:
    assert_error(ask(client, site.add(f"/status-{status}", reply(status, b"no"))), 502, str(status))


def test_a_server_that_breaks_off_or_is_not_there(client: httpx.Client, site: LocalSite) -> None:
    broken = site.add("/broken", raw("HTTP/1.1 200 OK\nContent-Length: 5000", b"only this"))
    assert_error(ask(client, broken), 502)
    assert_error(ask(client, "http://127.0.0.1:9/a.wav"), 502)
    assert_error(ask(client, "http://no-such-host.invalid/a.wav"), 502)


@pytest.mark.parametrize("content", [b"<html>no audio</html>", b"RIFF\0\0\0\0WAVE", b"\0" * 1000])
def test_a_file_that_is_not_audio(client: httpx.Client, site: LocalSite, content: bytes) -> None:
    assert_error(ask(client, site.add_file(f"/no-audio-{content[:1].hex()}", content)), 422)


def test_an_empty_file(client: httpx.Client, site: LocalSite) -> None:
    assert_error(ask(client, site.add_file("/empty", b"")), 422, "empty")


def test_too_large(small_client: httpx.Client, site: LocalSite) -> None:
    """``MAX_BODY_MB`` is 0.5 here and bounds downloads too, whether or not the server says how large they are."""
    body = wav(tone(48_000, 5.9, 2), 48_000)
    assert_error(ask(small_client, site.add_file("/large.wav", body)), 413, "larger")
    unsaid = site.add("/large-unsaid.wav", raw("HTTP/1.1 200 OK", body))
    assert_error(ask(small_client, unsaid), 413, "larger")


def test_too_long(small_client: httpx.Client, site: LocalSite) -> None:
    assert_error(ask(small_client, site.add_file("/long-8k.wav", wav(tone(8_000, 7.0), 8_000))), 413, "6 seconds")


def test_too_slow(small_client: httpx.Client, site: LocalSite) -> None:
    """``FETCH_TIMEOUT_S`` is 3 here."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    assert_error(ask(small_client, site.add("/drip", drip)), 504, "too long")


def test_logs_are_json_lines_on_standard_error_and_in_a_file(
    bundle: Bundle, client: httpx.Client, site: LocalSite
) -> None:
    url = site.add_file("/logged.wav", wav(tone(16_000), 16_000))
    request_id = ask(client, f"{url}?token=very-secret").headers["x-request-id"]
    lines = bundle.log_of(request_id)
    assert bundle.log_file.name == "audio_api.log"
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line)
    assert any(line["message"] == "downloaded" for line in lines)
    printed = [json.loads(text) for text in bundle.stderr.splitlines() if request_id in text]
    assert printed == lines
    assert not [text for text in bundle.stderr.splitlines() if not text.startswith("{")]
    assert "very-secret" not in bundle.stderr
    assert "very-secret" not in bundle.log_file.read_text()


def test_the_documented_example_is_answered_as_documented(client: httpx.Client) -> None:
    answer = client.post("/analyze-audio", json={"audio_url": MUSIC_URL})
    assert answer.json() == {"status": "success", "data": EXAMPLE}
