"""A real Prometheus that scrapes a served bundle with the configuration of ``deploy/observability``."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.programs import program
from tests.support.redis_server import free_port
from tests.support.served import ROOT, wait_for

CONFIGURATION = ROOT / "deploy" / "observability" / "prometheus"


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[float]:
        """The values of an expression at this moment."""
        return [float(series["value"][1]) for series in self.get("query", query=expression)["result"]]

    def wait_for_scrapes(self, more: int) -> None:
        """Returns after so many further successful looks at the bundle."""
        expression = 'sum(count_over_time(up{job="bundle"}[1h]))'
        before = sum(self.query(expression))
        wait_for(lambda: sum(self.query(expression)) >= before + more, 30)


@contextlib.contextmanager
def scrape(target: str, folder: Path) -> Iterator[Prometheus]:
    """Runs it as long as the context lasts.

    Args:
        target: Host and port of the bundle.
        folder: For its data.
    """
    shutil.copytree(CONFIGURATION, folder / "configuration")
    file = folder / "configuration" / "prometheus.yml"
    text = file.read_text()
    assert text.count("15s") == 2
    assert text.count("api:3000") == 1
    file.write_text(text.replace("15s", "1s").replace("api:3000", target))
    port = free_port()
    options = [
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program("prometheus"), *options], stdout=log, stderr=log)
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        wait_for(lambda: _is_up(server), 30, why=lambda: (folder / "log").read_text()[-2000:])
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _is_up(server: Prometheus) -> bool:
    with contextlib.suppress(httpx.HTTPError, json.JSONDecodeError):  # it says that it is not ready in plain text
        return 1.0 in server.query('up{job="bundle"}')
    return False
