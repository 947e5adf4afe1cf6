"""Live answers over a WebSocket (docs/api-v1.md)."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cli import keys
from tests.support.audio_bytes import encode
from tests.support.served import KEY, TOGETHER, Bundle, serve, wait_for

pytestmark = [pytest.mark.served, pytest.mark.anyio]

RATE = 16_000
WAIT_S = 60.0


@pytest.fixture(scope="session")
def spoken(voice: bytes) -> bytes:
    """About eight seconds of a man's speech as samples."""
    samples, rate = soundfile.read(io.BytesIO(voice), dtype="int16")
    assert rate == RATE
    return np.tile(samples, 1 + 8 * RATE // samples.size)[: 8 * RATE].astype("<i2").tobytes()


BEFORE_SPEECH = 12_000  # samples (0.75 s) of the example before its first word


@pytest.fixture(scope="session")
def recorded(spoken: bytes) -> dict[str, bytes]:
    """The same as browsers record it: Opus in WebM and in Ogg; the quiet before the first word comes last."""
    samples = np.roll(np.frombuffer(spoken, "<i2"), -BEFORE_SPEECH)
    signal = np.repeat(samples[:, None] * np.float32(1 / 32768), 3, axis=0).astype(np.float32)
    return {name: encode(name, signal, 48_000) for name in ("webm", "ogg")}


def address(bundle: Bundle, question: str, rate: int = RATE) -> str:
    return f"{bundle.url.replace('http', 'ws')}/v1/stream/{question}?rate={rate}"


def opus(bundle: Bundle, question: str) -> str:
    return f"{bundle.url.replace('http', 'ws')}/v1/stream/{question}?format=opus"


async def read_all(socket: ClientConnection) -> list[dict[str, Any]]:
    """All answers until the server closes, for whatever reason."""
    found = []
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(WAIT_S):
            async for message in socket:
                found.append(json.loads(message))
    return found


async def ask(url: str, data: bytes, piece: int = 3200, **options: Any) -> list[dict[str, Any]]:
    """Sends a recording in pieces, and gives all answers."""
    async with connect(url, **options) as socket:
        reading = asyncio.create_task(read_all(socket))
        for start in range(0, len(data), piece):
            await socket.send(data[start : start + piece])
        await socket.send("end")
        return await reading


async def test_each_second_is_answered_with_its_window(bundle: Bundle, spoken: bytes) -> None:
    for question, right in (("voice-gender", "male"), ("audio-scene", "speech")):
        answers = await ask(address(bundle, question), spoken)
        assert len(answers) == 8, answers
        assert [round(answer["end"]) for answer in answers] == list(range(1, 9))
        assert answers[0]["start"] == 0
        assert all(0 < answer["end"] - answer["start"] <= 30 for answer in answers)
        assert answers[-1]["prediction"] == right
        assert sum(answers[-1]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert answers[-1]["models"][0].startswith(question.replace("-", "_"))


@pytest.mark.parametrize("piece", [1, 333, 1 << 19])
async def test_pieces_of_any_size_give_the_same_answers(bundle: Bundle, spoken: bytes, piece: int) -> None:
    data = spoken[: 3 * 2 * RATE] if piece > 1 else spoken[: 2 * RATE + 600]
    step = piece if piece > 1 else 501  # odd: samples are cut in two
    answers = await ask(address(bundle, "audio-scene"), data, step)
    assert len(answers) == (3 if piece > 1 else 2)
    assert {answer["status"] for answer in answers} == {"success"}


async def test_another_rate_is_resampled(bundle: Bundle, spoken: bytes) -> None:
    samples = np.frombuffer(spoken, "<i2").repeat(3).astype("<i2").tobytes()
    answers = await ask(address(bundle, "voice-gender", 48_000), samples)
    assert len(answers) in (8, 9)
    assert answers[7]["prediction"] == "male"


@pytest.mark.parametrize("name", ["webm", "ogg"])
async def test_opus_is_answered_as_it_comes(bundle: Bundle, recorded: dict[str, bytes], name: str) -> None:
    """Half of a recording already has answers, though nothing says how long it will be."""
    for question, right in (("voice-gender", "male"), ("audio-scene", "speech")):
        async with connect(opus(bundle, question)) as socket:
            for start in range(0, len(recorded[name]) // 2, 1500):
                await socket.send(recorded[name][start : start + 1500])
            async with asyncio.timeout(WAIT_S):
                answers = [json.loads(await socket.recv()) for _ in range(3)]
            assert all(answer["status"] == "success" for answer in answers), answers
            assert [answer["prediction"] for answer in answers] == [right] * 3
        answers = await ask(opus(bundle, question), recorded[name], 1500)
        assert len(answers) in (8, 9)
        assert answers[-1]["prediction"] == right
        assert answers[-1]["end"] == pytest.approx(8, abs=0.1)


async def test_opus_and_samples_have_the_same_answers(
    bundle: Bundle, spoken: bytes, recorded: dict[str, bytes]
) -> None:
    last = [
        (await ask(url, data))[-1]["probabilities"]["male"]
        for url, data in (
            (address(bundle, "voice-gender"), spoken),
            (opus(bundle, "voice-gender"), recorded["webm"]),
        )
    ]
    assert last[0] == pytest.approx(last[1], abs=0.05)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"RIFF" + bytes(1000), "not Opus"),
        (b"OggS" + bytes(1000), "damaged"),
        (b"\x1a\x45\xdf\xa3\x80" + b"\xec\x80" * 400_000, "damaged"),
        (b"\x1a\x45\xdf\xa3\x80\xa3\x84\x81\0\0\x80", "no track of Opus"),
    ],
    ids=["another container", "a damaged page", "endless empty elements", "a block before its track"],
)
async def test_what_is_not_opus_ends_the_stream_with_words(bundle: Bundle, data: bytes, words: str) -> None:
    async with connect(opus(bundle, "audio-scene")) as socket:
        await socket.send(data)
        (message,) = await read_all(socket)
    assert (message["status"], message["code"]) == ("error", 400)
    assert words in message["message"]
    assert message["request_id"]
    assert socket.close_code == 1008


async def test_streams_are_counted_and_logged(bundle: Bundle, spoken: bytes) -> None:
    """By question and outcome, with their sound and answers; a stream that is refused too."""

    def value(name: str, **labels: str) -> float:
        text = httpx.get(f"{bundle.url}/metrics").text
        wanted = "".join(f'{key}="{one}",' for key, one in labels.items()).rstrip(",")
        found = re.search(rf"^{name}{{{wanted}}} (\S+)$" if wanted else rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    names = ("ended", "left", "stopped", "refused")
    before = {name: value("bundle_streams_total", outcome=name, question="audio-scene") for name in names}
    sound = value("bundle_stream_sound_seconds_total", question="audio-scene")
    answers = value("bundle_stream_answers_total", question="audio-scene", status="200")
    headers = {"x-request-id": "a-stream-of-three-seconds"}
    assert len(await ask(address(bundle, "audio-scene"), spoken[: 3 * 2 * RATE], additional_headers=headers)) == 3
    async with connect(address(bundle, "audio-scene")) as socket:
        await socket.send("hello")
        await read_all(socket)
    async with connect(address(bundle, "audio-scene")):
        assert value("bundle_streams_open") >= 1
    with pytest.raises(InvalidStatus):
        async with connect(address(bundle, "face-gender")):
            pass

    def all_counted() -> bool:
        found = {name: value("bundle_streams_total", outcome=name, question="audio-scene") for name in before}
        return found == before | {name: before[name] + 1 for name in ("ended", "left", "stopped")}

    await asyncio.to_thread(wait_for, all_counted)
    assert value("bundle_streams_total", outcome="refused", question="face-gender") >= 1
    assert value("bundle_stream_sound_seconds_total", question="audio-scene") == pytest.approx(sound + 3, abs=0.1)
    assert value("bundle_stream_answers_total", question="audio-scene", status="200") == answers + 3
    (line,) = [line for line in bundle.log_of("a-stream-of-three-seconds") if line["message"] == "stream"]
    assert (line["question"], line["status"], line["outcome"]) == ("audio-scene", 101, "ended")
    assert (line["answers"], line["failures"]) == (3, 0)
    assert line["sound_s"] == pytest.approx(3, abs=0.01)
    assert line["models"][0].startswith("audio_scene:")


async def test_a_clipped_voice_is_said_to_be_hard_to_judge(bundle: Bundle, spoken: bytes) -> None:
    """As of an uploaded file."""
    samples = np.frombuffer(spoken, "<i2").astype(np.float32) * 40
    clipped = samples.clip(-32768, 32767).astype("<i2").tobytes()
    good, bad = [(await ask(address(bundle, "voice-gender"), data))[-1]["problems"] for data in (spoken, clipped)]
    assert good == []
    assert "clipped" in bad


async def test_silence_is_an_error_of_its_second_and_ends_nothing(bundle: Bundle, spoken: bytes) -> None:
    answers = await ask(address(bundle, "voice-gender"), bytes(2 * 2 * RATE) + spoken[: 4 * 2 * RATE])
    assert [answer["status"] for answer in answers[:2]] == ["error", "error"]
    assert (answers[0]["code"], "no speech" in answers[0]["message"]) == (422, True)
    assert answers[-1]["prediction"] == "male"


async def test_a_slow_client_delays_no_other(bundle: Bundle, spoken: bytes, voice: bytes) -> None:
    """It sends as fast as it can and reads nothing; others are answered meanwhile, and the server keeps no memory."""
    async with connect(address(bundle, "audio-scene"), max_queue=1) as slow:

        async def flood() -> None:
            for _ in range(60):
                await slow.send(spoken)

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(0.5)
        answers = await ask(address(bundle, "voice-gender"), spoken)
        assert len(answers) == 8
        async with httpx.AsyncClient(timeout=WAIT_S) as client:
            answer = await client.post(f"{bundle.url}/api/detect-gender", files={"audio": voice})
            assert answer.status_code == 200
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


async def test_eight_speakers_at_once(bundle: Bundle, spoken: bytes) -> None:
    found = await asyncio.gather(*(ask(address(bundle, "voice-gender"), spoken) for _ in range(8)))
    assert [len([one for one in answers if one["status"] == "success"]) for answers in found] == [8] * 8


REFUSED = {"weather": 404, "face-gender": 400, "ai-voice": 403, "voice-gender?rate=5": 400, "../streams": 404}


@pytest.mark.parametrize(
    ("path", "status"), {**REFUSED, "voice-gender?format=mp3": 400, "voice-gender?rate=x": 400}.items()
)
async def test_who_is_not_let_in(bundle: Bundle, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{bundle.url.replace('http', 'ws')}/v1/stream/{path}"):
            pass
    response = refused.value.response
    assert (response.status_code, json.loads(response.body)["status"]) == (status, "error")
    assert bundle.log_of(response.headers["x-request-id"])
    assert not [line for line in bundle.log_lines() if "handshake" in line["message"]]


async def test_a_text_that_is_none_ends_the_stream_and_leaves_no_error_in_the_log(bundle: Bundle) -> None:
    before = len(bundle.log_lines())
    async with connect(address(bundle, "voice-gender")) as socket:
        socket.transport.write(b"\x81\x82" + bytes(4) + b"\xff\xfe")
        with pytest.raises(ConnectionClosed, match="1007"):
            await socket.recv()
    await asyncio.to_thread(wait_for, lambda: any("stream" in line["message"] for line in bundle.log_lines()[before:]))
    assert not [line for line in bundle.log_lines()[before:] if line["level"] == "ERROR"]


async def test_a_key_in_a_header_or_a_subprotocol_opens_ai_voice(bundle: Bundle, spoken: bytes) -> None:
    """A page cannot give a WebSocket headers."""
    url = address(bundle, "ai-voice")
    for options in (
        {"additional_headers": {"x-api-key": KEY}},
        {"subprotocols": ["media-stream", f"key.{KEY}"]},
    ):
        answers = await ask(url, spoken[: 2 * 2 * RATE], **options)
        assert answers[-1]["prediction"] in {"AI_GENERATED", "HUMAN"}


async def test_what_is_not_sound_ends_the_stream_with_words(bundle: Bundle) -> None:
    async with connect(address(bundle, "audio-scene")) as socket:
        await socket.send("hello")
        (message,) = await read_all(socket)
        assert (message["status"], message["code"]) == ("error", 400)
        assert message["request_id"]
        with pytest.raises(ConnectionClosed):
            await socket.send(b"x")
    assert socket.close_code == 1008


async def test_a_message_of_more_than_the_limit_is_refused(bundle: Bundle) -> None:
    async with connect(address(bundle, "audio-scene")) as socket:
        await socket.send(bytes((1 << 20) + 2))
        assert await read_all(socket) == []
    assert socket.close_code == 1009


@pytest.fixture(scope="module")
def keyed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bundle, Path]]:
    """The bundle with a store of keys and short recordings."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    settings = {"KEY_STORE": str(path), "MAX_AUDIO_SECONDS": "4", "CORS_ORIGINS": "https://a.example"}
    with serve(store, TOGETHER | settings) as running:
        yield running, path


async def test_keys_quotas_and_length(
    keyed: tuple[Bundle, Path], spoken: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, path = keyed
    url = address(bundle, "audio-scene")
    with pytest.raises(InvalidStatus) as refused:
        await ask(url, b"")
    assert refused.value.response.status_code == 403
    command = ["--store", str(path), "add", "lab", "--requests-per-minute", "2", "--mb-per-day", "100"]
    assert await asyncio.to_thread(keys.main, command) == 0
    options: dict[str, Any] = {"additional_headers": {"x-api-key": capsys.readouterr().out.strip()}}
    await asyncio.sleep(3)
    answers = await ask(url, spoken, **options)
    assert [answer["status"] for answer in answers] == ["success"] * 4 + ["error"]
    assert answers[-1]["code"] == 413
    assert len(await ask(url, spoken[: 2 * RATE], **options)) == 1
    with pytest.raises(InvalidStatus) as spent:
        await ask(url, b"", **options)
    assert spent.value.response.status_code == 429
    assert int(spent.value.response.headers["retry-after"]) >= 1


async def test_pages_of_other_origins_and_the_end_of_the_server(
    keyed: tuple[Bundle, Path], spoken: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """An origin that may not call is refused; open streams do not hold up the end."""
    bundle, path = keyed
    url = address(bundle, "audio-scene")
    assert await asyncio.to_thread(keys.main, ["--store", str(path), "add", "page"]) == 0
    options: dict[str, Any] = {"subprotocols": ["media-stream", f"key.{capsys.readouterr().out.strip()}"]}
    await asyncio.sleep(3)
    for origin in ("https://b.example", "http://["):
        with pytest.raises(InvalidStatus) as refused:
            await ask(url, b"", origin=origin, **options)
        assert refused.value.response.status_code == 403
    assert len(await ask(url, spoken[: 2 * RATE], origin="https://a.example", **options)) == 1
    assert len(await ask(url, spoken[: 2 * RATE], origin=bundle.url, **options)) == 1
    async with connect(url, **options) as socket:
        await socket.send(spoken[: 2 * 2 * RATE])
        assert json.loads(await socket.recv())["status"] == "success"
        ended = asyncio.create_task(asyncio.to_thread(bundle.stop))
        await read_all(socket)
        assert await ended == 0
    assert socket.close_code in {1001, 1006, 1012}
