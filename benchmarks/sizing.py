"""What a request of each question costs, and what each process holds: ``make sizing`` fills ``docs/scaling.md``."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.processes import cpu_s, pss_bytes
from benchmarks.report import BLOCK
from models import registry
from tests.support.questions import MODELS_BY_ROUTE, Ask, questions
from tests.support.served import ROOT, Bundle, serve
from tests.support.site_thread import local_site

PAGE = ROOT / "docs" / "scaling.md"
CLIENTS = 4
SECONDS = 5.0
API = "MediaClassifier"


def turn(bundle: Bundle, ask: Ask) -> int:
    """Asks one question by several clients for a while; how many were answered."""
    end = time.monotonic() + SECONDS

    def client(_: int) -> int:
        answered = 0
        with bundle.client() as http:
            while time.monotonic() < end:
                ask(http, {}).raise_for_status()
                answered += 1
        return answered

    with ThreadPoolExecutor(CLIENTS) as crowd:
        return sum(crowd.map(client, range(CLIENTS)))


def processes(bundle: Bundle) -> dict[str, int]:
    """Process ids: of the API, and of each model's runner."""
    services = {API: API} | {name: spec.runner for name, spec in registry.specs().items()}
    return {name: bundle.workers(service)[0] for name, service in services.items()}


def cost(bundle: Bundle, route: str, ask: Ask) -> dict[str, float]:
    """Processor time (ms) of the API and of the runner of each model that a request takes, by name."""
    pids = {name: pid for name, pid in processes(bundle).items() if name in (API, *MODELS_BY_ROUTE[route])}
    turn(bundle, ask)  # warm
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    answered = turn(bundle, ask)
    return {name: 1000 * (cpu_s(pid) - before[name]) / answered for name, pid in pids.items()}


def tables(costs: dict[str, dict[str, float]], memory: dict[str, int]) -> str:
    """The tables of the page.

    Args:
        costs: What ``cost`` gives, by route.
        memory: Of each process (bytes).
    """
    lines = ["| question | API, ms | runners, ms | requests/s of a core |", "| --- | ---: | ---: | ---: |"]
    for route, spent in costs.items():
        whole = sum(spent.values())
        lines.append(f"| `{route}` | {spent[API]:.1f} | {whole - spent[API]:.1f} | {1000 / whole:.0f} |")
    lines += ["", "| model | its runner, ms | requests/s of a core |", "| --- | ---: | ---: |"]
    models = [(name, ms) for spent in costs.values() for name, ms in spent.items() if name != API]
    lines += [f"| {name} | {ms:.1f} | {1000 / ms:.0f} |" for name, ms in models]
    lines += ["", "| process | memory after that, MiB (PSS) |", "| --- | ---: |"]
    lines += [f"| {name} | {held / 2**20:.0f} |" for name, held in memory.items()]
    return "\n".join(lines) + "\n"


def measure() -> str:
    """Serves, asks, and gives the tables."""
    store = Path(os.environ["BENTOML_HOME"])
    with local_site() as site, serve(store, {}) as bundle:
        costs = {route: cost(bundle, route, ask) for route, ask in questions(site).items()}
        return tables(costs, {name: pss_bytes(pid) for name, pid in processes(bundle).items()})


def main() -> None:
    """Measures, and writes the page."""
    block = BLOCK.format("sizing", measure())
    PAGE.write_text(re.sub(BLOCK.format("sizing", ".*?"), lambda _: block, PAGE.read_text(), flags=re.DOTALL))
    print(block)


if __name__ == "__main__":
    main()
