"""Traces over OTLP: one request is one trace, through all processes."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.otlp_collector import Collector, Span, collect
from tests.support.questions import MODELS_BY_ROUTE, Ask, questions
from tests.support.served import ROOT, Bundle, serve
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

CALLER = "00f067aa0ba902b7"  # the caller's own span


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collect() as running:
        yield running


@pytest.fixture(scope="module")
def traced(store: Path, collector: Collector) -> Iterator[Bundle]:
    """The bundle with a collector named, as its users name one."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "500"}
    with serve(store, settings) as running:
        yield running


@pytest.fixture(scope="module")
def asks(site: LocalSite) -> dict[str, Ask]:
    return questions(site)


def traceparent(trace: str, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{CALLER}-{flags}"}


def ancestors(span: Span, spans: dict[str, Span]) -> list[str]:
    """Names of the spans around a span, from the inside out; the last one's parent is the caller's."""
    by_id = {other.id: other for other in spans.values()}
    names = []
    while span.parent != CALLER:
        span = by_id[span.parent]
        names.append(span.name)
    return names


@pytest.mark.parametrize("route", MODELS_BY_ROUTE)
def test_one_request_is_one_trace(traced: Bundle, collector: Collector, asks: dict[str, Ask], route: str) -> None:
    trace = secrets.token_hex(16)
    with traced.client() as client:
        response = asks[route](client, traceparent(trace))
    assert response.status_code == 200
    steps = ("queue", "call", "runner", "prepare", "engine")
    request = f"POST {route}"
    spans = collector.wait_for(
        trace, request, *(f"{step} {model}" for step in steps for model in MODELS_BY_ROUTE[route])
    )

    assert spans[request].service == "MediaClassifier"
    assert [name for name in spans if name.startswith("decode ")]
    for span in spans.values():
        assert [request, *ancestors(span, spans)][-1] == request  # connected, up to the caller
        assert spans[request].start <= span.start <= span.end <= spans[request].end, span.name
        assert not span.failed
    for model in MODELS_BY_ROUTE[route]:
        assert ancestors(spans[f"queue {model}"], spans) == [request]
        assert ancestors(spans[f"engine {model}"], spans) == [f"runner {model}", f"call {model}", request]
        assert spans[f"engine {model}"].service.lower() == model.replace("_", "")  # made in its own process
    assert response.headers["x-request-id"] in spans[request].attributes["bundle.request_id"]
    for tag in response.headers["x-model"].split(", "):
        assert tag in spans[request].attributes["bundle.models"]


def test_the_log_names_the_trace(traced: Bundle, collector: Collector, asks: dict[str, Ask]) -> None:
    """Also where the trace begins here."""
    with traced.client() as client:
        response = asks["/api/detect-gender"](client, {})
    lines = traced.log_of(response.headers["x-request-id"])
    (trace,) = {str(line["trace_id"]) for line in lines}
    assert len(lines) > 1
    assert collector.wait_for(trace, "POST /api/detect-gender")["POST /api/detect-gender"].parent == ""


def test_requests_that_share_a_batch_are_linked(traced: Bundle, collector: Collector, asks: dict[str, Ask]) -> None:
    """Each has its own engine span, which names those of its batch-mates."""
    traces = [secrets.token_hex(16) for _ in range(16)]

    def one(trace: str) -> int:
        with traced.client() as client:
            return asks["/api/detect-gender"](client, traceparent(trace)).status_code

    with ThreadPoolExecutor(len(traces)) as crowd:
        assert set(crowd.map(one, traces)) == {200}
    engines = {trace: collector.wait_for(trace, "engine voice_gender")["engine voice_gender"] for trace in traces}
    linked = [span for span in engines.values() if span.links]
    assert linked
    for span in linked:
        for trace, other in span.links:
            assert trace != span.trace
            assert engines[trace].id == other
            assert (span.trace, span.id) in engines[trace].links
        assert int(span.attributes["bundle.items"].split()[-1]) == len(span.links) + 1
    calls = [collector.wait_for(trace, "call voice_gender")["call voice_gender"] for trace in traces]
    assert any(span.links for span in calls)
    for span in calls:
        assert int(span.attributes["bundle.items"].split()[-1]) == len(span.links) + 1


def test_what_is_not_sampled_and_probes_leave_nothing(
    traced: Bundle, collector: Collector, asks: dict[str, Ask]
) -> None:
    quiet, last = secrets.token_hex(16), secrets.token_hex(16)
    with traced.client() as client:
        assert asks["/api/detect-gender"](client, traceparent(quiet, "00")).status_code == 200
        for path in ("/livez", "/readyz", "/metrics"):
            assert client.get(path, headers=traceparent(quiet)).status_code == 200
        assert asks["/api/detect-gender"](client, traceparent(last)).status_code == 200
    collector.wait_for(last, "POST /api/detect-gender", "engine voice_gender")
    assert collector.trace(quiet) == {}


def test_failures_are_marked(traced: Bundle, collector: Collector) -> None:
    trace = secrets.token_hex(16)
    with traced.client() as client:
        bad = client.post("/api/detect-gender", files={"audio": b"no audio"}, headers=traceparent(trace))
    assert bad.status_code == 400
    spans = collector.wait_for(trace, "POST /api/detect-gender", "decode audio")
    assert spans["decode audio"].failed
    assert not spans["POST /api/detect-gender"].failed  # the caller's mistake, not the server's
    assert "400" in spans["POST /api/detect-gender"].attributes["http.response.status_code"]


def test_stopping_loses_nothing(traced: Bundle, collector: Collector, asks: dict[str, Ask]) -> None:
    """What was not exported yet when the server ends, all its processes export then; the last test of this bundle."""
    trace = secrets.token_hex(16)
    with traced.client() as client:
        assert asks["/api/detect-gender"](client, traceparent(trace)).status_code == 200
    assert traced.stop() == 0
    collector.wait_for(trace, "POST /api/detect-gender", "engine voice_gender")


def test_without_a_collector_nothing_is_loaded() -> None:
    program = "import sys; from core import tracing; tracing.start('x'); print('opentelemetry' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_a_bundle_without_a_collector_logs_the_callers_trace(bundle: Bundle, client: httpx.Client) -> None:
    trace = secrets.token_hex(16)
    response = client.get("/docs.json", headers=traceparent(trace))
    assert {line["trace_id"] for line in bundle.log_of(response.headers["x-request-id"])} == {trace}
    for wrong in ("00-" + "0" * 32 + f"-{CALLER}-01", "x", f"00-{trace}-{CALLER}", f"00-{trace[:-1]}G-{CALLER}-01"):
        response = client.get("/docs.json", headers={"traceparent": wrong})
        assert all("trace_id" not in line for line in bundle.log_of(response.headers["x-request-id"]))
