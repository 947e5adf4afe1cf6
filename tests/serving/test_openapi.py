"""The OpenAPI document: valid, complete, with examples, and true (property tests by schemathesis)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import build_app
from tests.support.served import KEY, ROOT, Bundle

pytestmark = pytest.mark.served

# Every route of docs/contract.md that is not itself the document.
ROUTES = {
    ("post", "/api/detect-gender"), ("get", "/health"), ("post", "/api/gender"), ("post", "/predict"),
    ("post", "/upload_audio"), ("get", "/"), ("post", "/analyze-audio"), ("post", "/api/voice-detection"),
    ("post", "/v1/classify/{question}"), ("get", "/v1/models"),
    ("get", "/livez"), ("get", "/readyz"), ("get", "/healthz"), ("get", "/metrics"), ("get", "/ui"),
}  # fmt: skip
MODEL_ROUTES = {(method, path) for method, path in ROUTES if method == "post"}


@pytest.fixture(scope="module")
def document(bundle: Bundle) -> dict[str, Any]:
    """What the bundle serves."""
    served: dict[str, Any] = httpx.get(f"{bundle.url}/docs.json").json()
    return served


def operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]
    return found


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema, looked up if it is a reference."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.")
    validate(document)


def test_it_is_the_one_that_was_committed(document: dict[str, Any]) -> None:
    committed = json.loads((ROOT / "openapi.json").read_text())
    assert document == committed, "the surface has changed: `make openapi` writes the new document, whose diff says how"


def test_every_route_is_in_it(document: dict[str, Any]) -> None:
    assert {(method, path) for path, methods in document["paths"].items() for method in methods} >= ROUTES


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [found["operationId"] for methods in document["paths"].values() for found in methods.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("method", "path"), sorted(MODEL_ROUTES))
def test_requests_and_errors_are_described(document: dict[str, Any], method: str, path: str) -> None:
    found = operation(document, method, path)
    assert found["summary"]
    assert found["requestBody"]["content"]
    assert {"200", "400", "413", "429", "500", "503", "504"} <= set(found["responses"])
    assert ("422" in found["responses"]) == (path not in {"/upload_audio", "/v1/classify/{question}"})
    for status, response in found["responses"].items():
        assert response["description"]
        if status >= "400":
            schema = resolved(document, response["content"]["application/json"]["schema"])
            expected = {"status", "message", "request_id"}
            if path in {"/api/gender", "/predict"}:
                expected |= {"success", "error"}
            assert set(schema["properties"]) == expected


@pytest.mark.parametrize(("method", "path"), sorted(MODEL_ROUTES | {("get", "/"), ("get", "/readyz")}))
def test_answers_have_schemas_and_examples(document: dict[str, Any], method: str, path: str) -> None:
    for kind, media in operation(document, method, path)["responses"]["200"]["content"].items():
        assert media["schema"]
        if kind == "application/json":
            assert "example" in media or "examples" in media, (path, kind)


@pytest.mark.parametrize("path", ["/analyze-audio", "/api/voice-detection"])
def test_json_requests_have_examples(document: dict[str, Any], path: str) -> None:
    media = operation(document, "post", path)["requestBody"]["content"]["application/json"]
    assert "example" in media or "examples" in media


@pytest.mark.parametrize(("method", "path"), sorted(MODEL_ROUTES | {("get", "/")}))
def test_a_key_or_its_quota_may_refuse_every_question(document: dict[str, Any], method: str, path: str) -> None:
    assert {"403", "429"} <= operation(document, method, path)["responses"].keys()


def test_errors_have_examples(document: dict[str, Any]) -> None:
    for method, path in sorted(MODEL_ROUTES):
        for status, response in operation(document, method, path)["responses"].items():
            if status >= "400":
                media = response["content"]["application/json"]
                schema = resolved(document, media["schema"])
                assert {"example", "examples"} & (set(media) | set(schema)), (path, status)


def test_the_key_is_described(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-api-key")
    assert operation(document, "post", "/api/voice-detection")["security"]


schema = schemathesis.openapi.from_dict(build_app().openapi())


@schema.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_answers_are_as_described(case: schemathesis.Case[Any], bundle: Bundle) -> None:
    """Whatever is sent, each answer is one that the document announces, and none is a failure of the server."""
    case.headers.setdefault("x-api-key", KEY)
    response = case.call(base_url=bundle.url)
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    if response.status_code != 502 or case.path != "/analyze-audio":  # it reached for a name that does not exist
        checks.append(not_a_server_error)
    case.validate_response(response, checks=checks)
