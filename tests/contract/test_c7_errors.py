"""Errors (docs/contract.md): every error is JSON with words, a request id, and nothing of the server's inside."""

from __future__ import annotations

import re
import socket
from typing import Any

import httpx
import pytest

from tests.support.audio_bytes import speech, tone, wav
from tests.support.crowd import too_many
from tests.support.served import KEY, Bundle
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

POSTED = [
    "/api/detect-gender", "/api/gender", "/predict", "/upload_audio", "/analyze-audio", "/api/voice-detection",
    "/v1/voice-gender", "/v1/face-gender", "/v1/heart-sound", "/v1/audio-scene", "/v1/voice-detection",
]  # fmt: skip
PICKLE = "application/vnd.bentoml+pickle"
KEYED = ("/api/voice-detection", "/v1/voice-detection")
FORMS = {
    "/api/detect-gender": "audio", "/api/gender": "image", "/predict": "image",
    "/v1/voice-gender": "audio", "/v1/face-gender": "image", "/v1/heart-sound": "audio",
}  # fmt: skip


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/detect-gender/x", "/v1", "/../etc/passwd", "/%00", "/é"])
def test_404(client: httpx.Client, path: str) -> None:
    assert_error(client.get(path), 404)


@pytest.mark.parametrize("path", ["/health/", "/docs/", "/ui/", "/api/gender/", "/v1/voice-gender/"])
def test_a_slash_too_many_is_not_redirected(client: httpx.Client, path: str) -> None:
    """Where to would be what the caller gave as host."""
    for method in ("GET", "POST"):
        assert_error(client.request(method, path, headers={"host": "elsewhere.example"}), 404)


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_405(client: httpx.Client, path: str, method: str) -> None:
    response = client.request(method, path)
    assert_error(response, 405)
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("path", POSTED)
def test_nothing_at_all_is_a_bad_request(client: httpx.Client, path: str) -> None:
    response = client.post(path, headers={"x-api-key": KEY})
    assert response.status_code in {400, 415}
    assert_error(response, response.status_code)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "audio/wav"])
def test_415_where_a_form_is_expected(client: httpx.Client, path: str, kind: str, wav_file: bytes) -> None:
    assert_error(client.post(path, content=wav_file, headers={"content-type": kind}), 415, "multipart/form-data")


@pytest.mark.parametrize("path", [*POSTED, "/nowhere", "/"])
def test_pickle_is_refused(client: httpx.Client, path: str) -> None:
    """BentoML's own services unpickle what they are sent; this one must not."""
    content = b"cos\nsystem\n(S'touch /tmp/pickled'\ntR."
    headers = {"content-type": "application/vnd.bentoml+pickle", "x-api-key": KEY}
    response = client.post(path, content=content, headers=headers)
    assert_error(response, {"/nowhere": 404, "/": 405}.get(path, 415))


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
def test_413(small_client: httpx.Client, path: str, declared: bool) -> None:
    """``MAX_BODY_MB`` is 0.5 here."""
    body = b"a" * (550 << 10)
    headers = {"content-type": "audio/pcm" if path == "/upload_audio" else "application/json"}
    if path in FORMS:
        body = f'--x\r\nContent-Disposition: form-data; name="{FORMS[path]}"; filename="a"\r\n\r\n'.encode() + body
        headers = {"content-type": "multipart/form-data; boundary=x"}
    content = body if declared else iter([body[:400_000], body[400_000:]])
    response = small_client.post(path, content=content, headers=headers)
    if path in KEYED and not declared:
        assert_error(response, 403)  # no key: the body is not looked at
    else:
        assert_error(response, 413, "0.5 MiB")


def test_a_request_id_is_made(client: httpx.Client) -> None:
    ids = {client.get("/health").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", made) for made in ids)


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/v1/voice-gender"])
def test_a_given_request_id_is_echoed(bundle: Bundle, client: httpx.Client, path: str) -> None:
    given = f"caller-{path.strip('/').replace('/', '.')}:42_A"
    response = client.post(path, headers={"x-request-id": given})
    assert response.headers["x-request-id"] == given
    assert response.json()["request_id"] == given
    assert bundle.log_of(given)


@pytest.mark.parametrize("given", ["a b", "<script>", "x" * 129, 'quote"', "semi;colon", "caf\xe9", ""])
def test_an_odd_request_id_is_replaced(client: httpx.Client, given: str) -> None:
    headers = {b"x-request-id": given.encode("latin-1")}
    response = client.get("/nowhere", headers=headers)
    body = assert_error(response, 404)
    assert re.fullmatch(r"[0-9a-f]{32}", body["request_id"])


@pytest.mark.parametrize("mark", [b"\x85", b"\t", b"\xe2\x80\xa8"], ids=["next-line", "tab", "line-separator"])
def test_an_id_cannot_break_a_log_line(bundle: Bundle, mark: bytes) -> None:
    """Line ends that the server's parser lets through, in a raw request."""
    forged = b"one" + mark + b'{"forged": 1}'
    with socket.create_connection(("127.0.0.1", bundle.port), 5) as raw:
        raw.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\nX-Request-Id: " + forged + b"\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := raw.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 404 ")  # the application itself has seen it
    (made,) = re.findall(rb"\r\nx-request-id: ([0-9a-f]{32})\r\n", answer.lower())
    assert bundle.log_of(made.decode())  # each line is still JSON
    assert "forged" not in bundle.log_file.read_text()
    assert "forged" not in bundle.stderr


def test_a_path_in_json_is_never_opened(client: httpx.Client) -> None:
    """CVE of BentoML 1.4.38 and older: a JSON string in place of a file."""
    for path, key in FORMS.items():
        assert_error(client.post(path, json={key: "/etc/passwd"}), 415)
        assert_error(client.post(path, files={key: (None, "/etc/passwd")}), 400)


def test_a_url_in_place_of_a_file_is_never_fetched(client: httpx.Client, site: object) -> None:
    """BentoML's own parser would download it."""
    from tests.support.site_thread import LocalSite

    assert isinstance(site, LocalSite)
    url = site.add_file("/canary.wav", wav(tone(16_000), 16_000))
    for path, key in FORMS.items():
        assert_error(client.post(path, files={key: (None, url)}), 400)
        assert_error(client.post(path, files={key: ("url.txt", url.encode())}), 400)
        assert_error(client.post(path, data={key: url}), 415)
        assert_error(client.post(path, json={key: url}), 415)
    assert site.hits("/canary.wav") == 0


def test_a_form_with_very_many_parts(client: httpx.Client, wav_file: bytes) -> None:
    parts = [("audio", ("a.wav", wav_file[:100]))] * 200
    assert_error(client.post("/api/detect-gender", files=parts), 400)
    fields = {f"f{i}": (None, "x") for i in range(200)}
    assert_error(client.post("/api/detect-gender", files=fields), 400)


def test_429_when_full(small_bundle: Bundle, small_client: httpx.Client) -> None:
    """``QUEUE_LATENCY_S`` is next to nothing here, so a request that finds another one waiting is refused."""
    file = wav(speech(5.0), 16_000)
    answers = too_many(small_bundle, lambda client: client.post("/api/detect-gender", files={"audio": file}))
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert_error(answer, 429, "later")
    assert small_client.post("/api/detect-gender", files={"audio": file}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "request_"),
    [
        ("/v1/voice-gender", 400, {"files": {"audio": b"words"}}), ("/v1/voice-gender", 415, {"json": {}}),
        ("/v1/face-gender", 400, {"files": {"picture": b"words"}}), ("/v1/heart-sound", 400, {}),
        ("/v1/audio-scene", 400, {"json": {"audio_url": "no address"}}), ("/v1/audio-scene", 400, {"json": {}}),
        ("/v1/audio-scene", 400, {"content": b"{", "headers": {"content-type": "application/json"}}),
        ("/v1/voice-detection", 400, {"json": {"request": {"language": "Latin"}}, "headers": {"x-api-key": KEY}}),
        ("/v1/voice-detection", 403, {"json": {"request": {}}}), ("/v1/voice-detection", 405, None),
        ("/v1/voice-detection", 415, {"content": b"N.", "headers": {"content-type": PICKLE, "x-api-key": KEY}}),
        ("/v1/audio-scene", 415, {"content": b"x", "headers": {"content-type": "text/plain"}}),
    ],
)  # fmt: skip
def test_what_a_caller_got_wrong_is_one_line(
    bundle: Bundle, client: httpx.Client, path: str, status: int, request_: dict[str, Any] | None
) -> None:
    """BentoML logs such as errors, with a trace."""
    response = client.get(path) if request_ is None else client.post(path, **request_)
    body = assert_error(response, status)
    (line,) = bundle.log_of(body["request_id"])
    assert (line["level"], line["status"], line["logger"]) == ("INFO", status, "bundle.access")


def answered(client: httpx.Client, status: int) -> dict[str, float]:
    """How many requests were answered with a status, by route."""
    found = re.findall(
        rf'^bundle_requests_total{{method="POST",route="([^"]+)",status="{status}"}} (\S+)$',
        client.get("/metrics").text,
        re.MULTILINE,
    )
    return {route: float(count) for route, count in found}


@pytest.mark.parametrize("path", ["/api/detect-gender", "/upload_audio", "/v1/voice-gender", "/analyze-audio"])
def test_a_caller_who_leaves_in_the_middle_is_no_failure(bundle: Bundle, client: httpx.Client, path: str) -> None:
    """Log and metrics say that the caller left."""
    kinds = {"/upload_audio": "audio/pcm", "/analyze-audio": "application/json"}
    kind = kinds.get(path, "multipart/form-data; boundary=x")
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n"
    before = {status: answered(client, status) for status in (499, 500)}
    ids = [f"left-{path[1:].replace('/', '-')}-{number}" for number in range(3)]
    for request_id, sent in zip(ids, (b"", b"--x", b"--x\r\n" + b"a" * 990), strict=True):
        with socket.create_connection(("127.0.0.1", bundle.port), 5) as raw:
            raw.sendall(head.encode() + f"X-Request-Id: {request_id}\r\n\r\n".encode() + sent)
    for request_id in ids:
        (line,) = bundle.log_of(request_id)
        assert (line["status"], line["route"], line["level"]) == (499, path, "INFO")
    assert answered(client, 499)[path] == before[499].get(path, 0) + 3
    assert answered(client, 500) == before[500]


def test_a_caller_who_leaves_harms_no_other(bundle: Bundle, client: httpx.Client, wav_file: bytes) -> None:
    head = b"POST /api/detect-gender HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n' + wav_file + b"\r\n--x--\r\n"
    failed = answered(client, 500)
    for sent in (part[:100], part):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", bundle.port), 5) as raw:
                raw.sendall(head + f"Content-Length: {len(part)}\r\n\r\n".encode() + sent)
    assert client.post("/api/detect-gender", files={"audio": wav_file}).status_code == 200
    assert client.get("/readyz").status_code == 200
    assert answered(client, 500) == failed


@pytest.mark.parametrize(
    ("path", "status"), [("/upload_audio", 413), ("/api/detect-gender", 415), *((path, 403) for path in KEYED)]
)
def test_a_body_that_never_ends_ends_the_connection(small_bundle: Bundle, path: str, status: int) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", small_bundle.port), 20) as raw:
        raw.sendall(head.encode() + b"90000\r\n" + b"a" * 0x90000 + b"\r\n")
        answer = b""
        while chunk := raw.recv(4096):  # until the server closes it
            answer += chunk
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_the_log_has_no_query_and_no_body(bundle: Bundle, client: httpx.Client) -> None:
    response = client.get("/nowhere?token=query-5511", headers={"authorization": "Bearer bearer-5512"})
    client.post("/upload_audio?sample_rate=body-5513", content=b"body-5514")
    client.post("/analyze-audio", json={"audio_url": "ftp://user-5515:word-5516@example.org/path-5517"})
    last = client.post("/api/detect-gender", files={"audio": ("name-5518.wav", b"body-5519")})
    bundle.log_of(response.headers["x-request-id"])
    bundle.log_of(last.headers["x-request-id"])
    for text in (bundle.stderr, bundle.log_file.read_text()):
        assert not re.findall(r"\w+-551\d", text)
