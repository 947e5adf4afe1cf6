"""The dashboard and the alerts show what the bundle serves: asked of a real Prometheus."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models import registry
from tests.support.programs import program
from tests.support.prometheus_server import CONFIGURATION, Prometheus, scrape
from tests.support.questions import questions
from tests.support.served import ROOT, Bundle
from tests.support.site_thread import LocalSite

DASHBOARDS = CONFIGURATION.parent / "grafana" / "dashboards"
PAGE = (ROOT / "docs" / "observability.md").read_text()
ALERTS = (CONFIGURATION / "alerts.yml").read_text()
NAMES = re.findall(r"- alert: (\w+)", ALERTS)


def expressions(part: Any) -> Iterator[str]:
    """Every query of a dashboard, however deep, and the metric of each variable."""
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key == "expr")
        if found := re.match(r"label_values\((\w+), \w+\)", str(part.get("definition", ""))):
            yield found.group(1)
        for value in part.values():
            yield from expressions(value)
    elif isinstance(part, list):
        for value in part:
            yield from expressions(value)


def queries() -> list[str]:
    return sorted({query for file in DASHBOARDS.glob("*.json") for query in expressions(json.loads(file.read_text()))})


def filled_in(query: str) -> str:
    """A query as Grafana sends it, with all models and the rate over a minute."""
    return query.replace("$__rate_interval", "1m").replace("$model", ".*")


@pytest.fixture(scope="module")
def prometheus(bundle: Bundle, site: LocalSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Has seen every route answered twice, and mistakes of callers."""
    asks = questions(site)
    with scrape(f"127.0.0.1:{bundle.port}", tmp_path_factory.mktemp("prometheus")) as server, bundle.client() as client:
        for _ in range(2):
            for ask in asks.values():
                assert ask(client, {}).status_code == 200
            assert client.get("/readyz").status_code == 200
            assert client.get("/nowhere").status_code == 404
            assert client.post("/v1/heart-sound", files={"audio": b"no audio"}).status_code == 400
            server.wait_for_scrapes(2)
        yield server


@pytest.mark.served
@pytest.mark.parametrize("query", queries())
def test_every_query_of_the_dashboard_finds_something(prometheus: Prometheus, query: str) -> None:
    values = prometheus.query(filled_in(query))
    assert [value for value in values if math.isfinite(value)], "no series, or only NaN"


@pytest.mark.served
def test_every_rule_is_loaded_and_none_fires(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert sorted(rule["name"] for rule in rules) == sorted(NAMES)
    assert {rule["lastError"] for rule in rules if "lastError" in rule} <= {""}
    assert not [alert for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"]


@pytest.mark.served
def test_alerts_ask_for_metrics_that_are_served(bundle: Bundle, prometheus: Prometheus) -> None:
    served = set(re.findall(r"^(bundle_\w+)", httpx.get(f"{bundle.url}/metrics", timeout=20).text, re.MULTILINE))
    asked = set(re.findall(r"bundle_\w+", re.sub(r"annotations:.*\n.*", "", ALERTS)))
    assert asked
    assert asked <= served


OF_EVERY_MODEL = ("queue_depth", "queue_seconds_count", "batch_items_count", "batch_cost_count", "padding_cost_total",
                  "call_seconds_count", "prepare_seconds_count", "engine_seconds_count", "answers_total")  # fmt: skip


@pytest.mark.served
@pytest.mark.parametrize("name", OF_EVERY_MODEL)
def test_every_model_has_its_figures(prometheus: Prometheus, name: str) -> None:
    """Those of the runners, too, which other processes measure."""
    assert prometheus.query(f"count(count by (model) (bundle_{name}))") == [len(registry.specs())]
    if name.endswith("_count"):
        assert min(prometheus.query(f"sum by (model) (bundle_{name})")) >= 2


@pytest.mark.served
def test_every_question_has_its_decoding(prometheus: Prometheus) -> None:
    read = {"voice_gender", "face_gender", "heart_sound", "audio_scene", "voice_deepfake"}
    assert prometheus.query("count(count by (model) (bundle_decode_seconds_count > 1))") == [len(read)]
    for model in read:
        assert prometheus.query(f'sum(bundle_decode_seconds_sum{{model="{model}"}})')[0] > 0


@pytest.mark.served
def test_the_tag_of_a_model_is_in_header_metrics_and_log(prometheus: Prometheus, bundle: Bundle, voice: bytes) -> None:
    response = httpx.post(f"{bundle.url}/api/detect-gender", files={"audio": voice}, timeout=60)
    tag = response.headers["x-model"]
    assert prometheus.query(f'bundle_model_info{{tag="{tag}"}}') == [1.0]
    assert prometheus.query(f'sum(bundle_answers_total{{tag="{tag}"}})')[0] >= 2
    assert bundle.log_of(response.headers["x-request-id"])[-1]["models"] == [tag]
    assert prometheus.query("min(bundle_runner_up)") == [1.0]


@pytest.mark.served
def test_every_line_of_the_log_names_its_process(bundle: Bundle, voice: bytes) -> None:
    response = httpx.post(f"{bundle.url}/api/detect-gender", files={"audio": voice}, timeout=60)
    assert bundle.log_of(response.headers["x-request-id"])[-1]["process"] == "MediaClassifier"
    lines = bundle.log_lines()
    assert [line for line in lines if "process" not in line] == []
    ready = {line["process"] for line in lines if line["logger"] == "bundle.runner"}
    assert ready == {spec.runner for spec in registry.specs().values()}


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, cwd=CONFIGURATION, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_explained() -> None:
    tests = (CONFIGURATION / "alerts_test.yml").read_text()
    fires = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", tests))
    assert fires == set(NAMES)
    assert re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", PAGE.split("## Alerts")[1], re.MULTILINE) == NAMES


def test_the_bundle_is_all_that_is_needed() -> None:
    """A dashboard names no private data source."""
    for file in DASHBOARDS.glob("*.json"):
        assert set(re.findall(r'"uid": "([^"]*)"', file.read_text())) == {"${datasource}", "media-classifier"}
    assert Path(DASHBOARDS / "bundle.json").exists()
