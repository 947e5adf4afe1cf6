"""When traces are exported at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core import tracing
from models import registry
from tests.support.served import ROOT

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_exported_where_a_collector_is_named(environment: dict[str, str], expected: bool) -> None:
    assert tracing.is_configured(environment) == expected


def test_a_protocol_that_is_not_there_is_named() -> None:
    asked = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert tracing.unknown_protocol(ENDPOINT | asked) == "OTEL_EXPORTER_OTLP_PROTOCOL"
    assert tracing.unknown_protocol(asked) is None  # nothing is exported
    assert tracing.unknown_protocol(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}) is None


def test_without_a_collector_steps_leave_everything_as_it_was() -> None:
    assert tracing.traceparent() == ""
    with tracing.request({"traceparent": "00-" + "1" * 32 + "-00f067aa0ba902b7-01"}) as span, tracing.step("x"):
        assert span is None
        assert tracing.traceparent() == ""
    with tracing.shared("x", ["", ""]) as spans:
        assert spans == ["", ""]


def test_bentoml_makes_no_spans_of_its_own() -> None:
    """In no process of the server: each reads BentoML's configuration anew, for the service that it runs."""
    code = """
import service
from bentoml._internal.configuration.containers import BentoMLContainer
for part in service.MediaClassifier.all_services().values():
    part.inject_config()
    print(BentoMLContainer.tracing_excluded_urls.get().url_disabled("http://localhost:3000/predict"))
"""
    made = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert made.stdout.split() == ["True"] * (1 + len(registry.specs()))  # the API and the runners
