"""C7: every error is JSON with words, a request id, and nothing of the server's inside."""

from __future__ import annotations

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.audio_bytes import tone, wav
from tests.served import KEY, Bundle
from tests.shapes import assert_error

pytestmark = pytest.mark.served

POSTED = [
    "/api/detect-gender", "/api/gender", "/predict", "/upload_audio", "/analyze-audio", "/api/voice-detection",
    "/v1/voice-gender", "/v1/face-gender", "/v1/heart-sound", "/v1/audio-scene", "/v1/voice-detection",
]  # fmt: skip
FORMS = {
    "/api/detect-gender": "audio", "/api/gender": "image", "/predict": "image",
    "/v1/voice-gender": "audio", "/v1/face-gender": "image", "/v1/heart-sound": "audio",
}  # fmt: skip


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/detect-gender/x", "/v1", "/../etc/passwd", "/%00", "/é"])
def test_404(client: httpx.Client, path: str) -> None:
    assert_error(client.get(path), 404)


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
    expected = {"/nowhere": 404, "/": 405, "/upload_audio": 400}.get(path, 415)
    if path == "/upload_audio":  # takes bytes of any type, as PCM: an odd number of them is no frame
        response = client.post(path, content=content + b"\n" * (1 - len(content) % 2), headers=headers)
    assert_error(response, expected)


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
def test_413(small_client: httpx.Client, path: str, declared: bool) -> None:
    """``MAX_BODY_MB`` is 0.5 here."""
    body = b"a" * (550 << 10)
    headers = {"content-type": "application/json"}
    if path in FORMS:
        body = f'--x\r\nContent-Disposition: form-data; name="{FORMS[path]}"; filename="a"\r\n\r\n'.encode() + body
        headers = {"content-type": "multipart/form-data; boundary=x"}
    content = body if declared else iter([body[:400_000], body[400_000:]])
    response = small_client.post(path, content=content, headers=headers)
    if path == "/api/voice-detection" and not declared:
        assert_error(response, 403)  # no key: the body is not even read
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


def test_an_id_cannot_break_a_log_line(bundle: Bundle) -> None:
    """A raw request whose header carries a line end in its obsolete folded form."""
    with socket.create_connection(("127.0.0.1", bundle.port), 5) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Request-Id: one\r\n two\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := raw.recv(4096):
            answer += chunk
    assert answer
    assert bundle.log_lines()  # each line is still JSON


def test_a_path_in_json_is_never_opened(client: httpx.Client) -> None:
    """CVE of BentoML 1.4.38 and older: a JSON string in place of a file."""
    for path, key in FORMS.items():
        assert_error(client.post(path, json={key: "/etc/passwd"}), 415)
        assert_error(client.post(path, files={key: (None, "/etc/passwd")}), 400)


def test_a_url_in_place_of_a_file_is_never_fetched(client: httpx.Client, site: object) -> None:
    """BentoML's own parser would download it."""
    from tests.site_thread import LocalSite

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
    """``QUEUE_LATENCY_S`` is next to nothing here, so whoever finds somebody before him is refused."""
    file = wav(tone(16_000, 5.0), 16_000)
    small_client.post("/api/detect-gender", files={"audio": file})  # the pace is known from now on
    gate = threading.Barrier(24)

    def one(_: int) -> httpx.Response:
        with small_bundle.client() as client:
            gate.wait()
            return client.post("/api/detect-gender", files={"audio": file})

    with ThreadPoolExecutor(24) as crowd:
        answers = list(crowd.map(one, range(24)))
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert_error(answer, 429, "later")
    assert small_client.post("/api/detect-gender", files={"audio": file}).status_code == 200


def test_a_caller_who_leaves_harms_nobody(bundle: Bundle, client: httpx.Client, wav_file: bytes) -> None:
    head = b"POST /api/detect-gender HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n' + wav_file + b"\r\n--x--\r\n"
    for sent in (part[:100], part):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", bundle.port), 5) as raw:
                raw.sendall(head + f"Content-Length: {len(part)}\r\n\r\n".encode() + sent)
    assert client.post("/api/detect-gender", files={"audio": wav_file}).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_the_log_has_no_query_and_no_body(bundle: Bundle, client: httpx.Client) -> None:
    response = client.get("/nowhere?token=query-5511", headers={"authorization": "Bearer bearer-5512"})
    client.post("/upload_audio?sample_rate=body-5513", content=b"body-5514")
    client.post("/analyze-audio", json={"audio_url": "ftp://user-5515:word-5516@example.org/path-5517"})
    last = client.post("/api/detect-gender", files={"audio": ("name-5518.wav", b"body-5519")})
    bundle.log_of(response.headers["x-request-id"])
    bundle.log_of(last.headers["x-request-id"])
    for text in (bundle.stderr, bundle.log_file.read_text()):
        assert not re.findall(r"\w+-551\d", text)
