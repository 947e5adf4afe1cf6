"""Service surface (docs/contract.md): documents, health, readiness, metrics and pages."""

from __future__ import annotations

import re
import secrets
from urllib.parse import urljoin

import httpx
import pytest

from models import registry
from tests.support.served import wait_for
from tests.support.shapes import assert_error

pytestmark = pytest.mark.served

EXTERNAL = re.compile(r"""(?:src|href|url)\s*[=:(]\s*["']?(?:https?:)?//""", re.IGNORECASE)


def test_docs_need_no_internet(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "swagger" in page.text.lower()
    assert "/docs.json" in page.text
    assert not EXTERNAL.search(page.text)


def test_everything_that_the_docs_load_is_here(client: httpx.Client) -> None:
    page = client.get("/docs").text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert loaded
    for address in loaded:
        assert client.get(address).status_code == 200, address


def test_the_document_is_where_generators_look_for_it(client: httpx.Client) -> None:
    usual, ours = client.get("/openapi.json"), client.get("/docs.json")
    assert (usual.status_code, usual.headers["content-type"]) == (200, "application/json")
    assert usual.json() == ours.json()


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/health"])
def test_liveness(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.text) == (200, "OK")


@pytest.mark.parametrize(
    "path", ["/", "/health", "/livez", "/readyz", "/metrics", "/docs", "/docs.json", "/ui", "/examples/voice.flac"]
)
def test_head_is_get_without_a_body(client: httpx.Client, path: str) -> None:
    """Probes and caches ask so."""
    headers = {"accept": "text/html"}
    got, response = client.get(path, headers=headers), client.head(path, headers=headers)
    assert (got.status_code, response.status_code) == (200, 200)
    assert (response.content, response.headers["content-type"]) == (b"", got.headers["content-type"])
    if path != "/metrics":
        assert response.headers["content-length"] == got.headers["content-length"]
    assert client.get(path, headers=headers).status_code == 200  # on the same connection: no byte was too many


def test_head_is_counted_by_its_route(client: httpx.Client) -> None:
    assert client.head("/examples/voice.ogg").status_code == 200
    assert client.head("/nowhere").status_code == 404
    assert client.head("/api/gender").status_code == 405
    counted = series(client, "bundle_requests_total")
    for route, status in (("/examples/{name}", 200), ("unmatched", 404), ("/api/gender", 405)):
        assert counted[f'bundle_requests_total{{method="HEAD",route="{route}",status="{status}"}}'] >= 1


def test_readiness_names_every_model(client: httpx.Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "models": dict.fromkeys(registry.specs(), "ready")}


def test_there_is_a_playground(client: httpx.Client) -> None:
    response = client.get("/ui")
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == "text/html"


def series(client: httpx.Client, name: str) -> dict[str, float]:
    """The series of a metric: labels and value."""
    lines = client.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{")}


def test_metrics_count_requests_by_route(client: httpx.Client, wav_file: bytes) -> None:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    name = 'bundle_requests_total{method="POST",route="/api/detect-gender",status="200"}'
    before = series(client, "bundle_requests_total").get(name, 0)
    client.post("/api/detect-gender", files={"audio": wav_file})
    assert series(client, "bundle_requests_total")[name] == before + 1


def test_metrics_come_from_all_processes(client: httpx.Client, wav_file: bytes) -> None:
    """The engine's time is measured in the runner, the rest in the API process."""
    client.post("/api/detect-gender", files={"audio": wav_file})
    assert series(client, "bundle_engine_seconds_count")['bundle_engine_seconds_count{model="voice_gender"}'] > 0
    assert any('model="voice_gender"' in name for name in series(client, "bundle_answers_total"))


def test_unknown_paths_are_one_series(client: httpx.Client) -> None:
    paths = [secrets.token_hex(8) for _ in range(50)]
    for path in paths:
        assert client.get(f"/{path}").status_code == 404
    text = client.get("/metrics").text
    assert not [path for path in paths if path in text]
    routes = set(re.findall(r'route="([^"]*)"', text))
    assert {route for route in routes if not route.startswith("/")} == {"unmatched"}
    assert len(routes) < 40


def test_static_files_are_counted_under_one_template(client: httpx.Client) -> None:
    page = client.get("/docs").text
    files = re.findall(r"(/pages/[\w.-]+)", page)
    assert files
    assert [client.get(file).status_code for file in files] == [200] * len(files)
    assert client.head(files[0]).status_code == 200
    names = {f'bundle_requests_total{{method="{m}",route="/pages/{{name}}",status="200"}}' for m in ("GET", "HEAD")}
    wait_for(lambda: names <= set(series(client, "bundle_requests_total")))  # counted just after the answer was sent


@pytest.mark.parametrize("page", ["/", "/docs", "/ui"])
def test_every_page_and_what_it_loads_has_a_route(client: httpx.Client, page: str) -> None:
    """Scripts that others import, examples and cards too: nothing that is answered counts as ``unmatched``."""
    left, seen = {page}, set[str]()
    while left:
        seen.add(path := left.pop())
        response = client.get(path, headers={"accept": "text/html"})
        assert response.status_code == 200, path
        if response.headers["content-type"].startswith(("text/html", "text/javascript")) and "swagger" not in path:
            named = re.findall(r"""(?:href=|src=|from |url: )["']([./][\w./-]+)["']""", response.text)
            left |= {urljoin(path, name) for name in named} - seen
    assert len(seen) > {"/": 3, "/docs": 5, "/ui": 20}[page]
    for path in ("/ui/cards/heart_sound", "/ui/examples/mixed.flac", "/ui/server", "/examples/voice.flac"):
        assert client.get(path).status_code == 200
    client.get("/livez")  # an answer is counted just after it was sent
    counted = series(client, "bundle_requests_total")
    assert [name for name in counted if 'route="/ui/page/{name}"' in name or page != "/ui"]
    unmatched = [name for name in counted if 'route="unmatched"' in name and 'method="OPTIONS"' not in name]
    assert not [name for name in unmatched if 'status="200"' in name]  # OPTIONS of others' preflights have no route


def test_odd_methods_are_one_series(client: httpx.Client) -> None:
    for method in ("PROPFIND", "SUBSCRIBE"):
        assert_error(client.request(method, "/health"), 405)
    methods = set(re.findall(r'method="([^"]*)"', client.get("/metrics").text))
    assert "OTHER" in methods
    assert not {"PROPFIND", "SUBSCRIBE"} & methods


def test_no_heart_problem_is_a_measurement(client: httpx.Client, wav_file: bytes) -> None:
    """Only flags count as problems of a recording, never a level or a length."""
    client.post("/v1/heart-sound", files={"audio": ("a.wav", wav_file)})
    problems = set(re.findall(r'problem="([^"]*)"', client.get("/metrics").text))
    assert problems <= {"too_short", "too_quiet", "too_noisy", "no_heart_beat"}
