"""Metrics: what a batch records, and bounded labels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from api.middleware.observe import route_template
from core import metrics

ROOT = Path(__file__).parents[3]


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_batch() -> None:
    metrics.observe_batch("batched", [2.0, 3.0])
    assert value("bundle_batch_items_sum", model="batched") == 2
    assert value("bundle_batch_cost_sum", model="batched") == 6
    assert value("bundle_padding_cost_total", model="batched") == 1


def test_equal_items_of_a_batch_pad_nothing() -> None:
    """Twelve times 2.53525 is more than their sum as floats are added up; a counter refuses what is below 0."""
    metrics.observe_batch("even", [2.53525] * 12)
    assert value("bundle_padding_cost_total", model="even") == 0


def test_exposition_has_every_name() -> None:
    text = metrics.exposition().decode()
    for name in ("bundle_requests", "bundle_batch_items", "bundle_engine_seconds", "bundle_cache", "bundle_answers"):
        assert f"# TYPE {name}" in text


@pytest.mark.parametrize("scope", [{}, {"path": "/secret"}, {"route": object()}, {"route": None}])
def test_a_request_without_a_route_is_unmatched(scope: dict[str, object]) -> None:
    assert route_template(scope) == "unmatched"


def test_what_waited_in_a_process_that_died_is_forgotten(tmp_path: Path) -> None:
    """Counters stay, as a counter must."""
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def run(program: str) -> str:
        return subprocess.check_output([sys.executable, "-c", program], env=environment, text=True, timeout=60)

    run("from core import metrics as m; m.QUEUE_DEPTH.labels('toy').inc(5); m.REFUSED.labels('toy').inc(2)")
    kept = {path.name for path in tmp_path.iterdir() if path.name.startswith("counter")}
    text = run("from core import metrics as m; m.QUEUE_DEPTH.labels('toy').inc(1); print(m.exposition().decode())")
    assert 'bundle_queue_depth{model="toy"} 1.0' in text
    assert 'bundle_queue_refused_total{model="toy"} 2.0' in text
    for _ in range(3):
        run("from core import metrics as m; m.start_queue('toy')")  # as of a process that never serves
    (tmp_path / "counter_4194304999.db").touch()  # as of one that was killed between making a file and filling it
    text = run("from core import metrics as m; print(m.exposition().decode())")
    assert 'bundle_queue_refused_total{model="toy"} 2.0' in text
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith("counter")} >= kept
    assert len(list(tmp_path.glob("counter_*.db"))) == len(kept) + 1  # and the one that was running


def test_a_file_that_another_scrape_deletes_meanwhile_fails_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    failures = [FileNotFoundError("counter_1.db")]

    def late(registry: object) -> bytes:
        if failures:
            raise failures.pop()
        return b"all"

    monkeypatch.setattr(metrics, "generate_latest", late)
    assert metrics.exposition() == b"all"


def test_the_page_has_the_table_of_all_metrics() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    assert metrics.table() in page, "python -m core.metrics prints the table"


FULL = """
import logging, os, resource, sys
from pathlib import Path

bound, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # bytes of a file: 0 is as on a full disk

def shown(name):
    return [line for line in metrics.exposition().decode().splitlines() if line.startswith(name)]

room(0)
from core import metric_files
metric_files.REST_S = 0.0
from core import metrics
metrics.start_api("1")
metrics.CACHE.labels("hit").inc(3)
print(shown("bundle_cache_total"))
room(bound)
metrics.CACHE.labels("hit").inc()
print(shown("bundle_cache_total"))
for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("*.db"):
    assert 512 * file.stat().st_blocks >= file.stat().st_size > 0, file  # a hole is a SIGBUS on a full disk
room(1 << 16)
for number in range(2000):
    metrics.REQUESTS.labels("/a", "GET", number).inc()
metrics.CACHE.labels("hit").inc()
few = len(shown("bundle_requests_total"))
room(bound)
for number in range(2000):
    metrics.REQUESTS.labels("/a", "GET", number).inc()
print(0 < few < 2000, shown("bundle_cache_total"), {line.split()[-1] for line in shown("bundle_requests_total")})
"""


def test_a_full_disk_ends_no_process_and_what_it_missed_is_shown_later(tmp_path: Path) -> None:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", FULL], env=environment, text=True, capture_output=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == [
        "[]",
        "['bundle_cache_total{result=\"hit\"} 4.0']",
        "True ['bundle_cache_total{result=\"hit\"} 5.0'] {'2.0'}",
    ], done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, lines  # one each time that the disk is full
    assert all(line.startswith("metrics cannot be written (File too large)") for line in lines)
