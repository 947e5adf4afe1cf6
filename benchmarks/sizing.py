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
from tests.questions import MODELS, Ask, questions
from tests.served import ROOT, Bundle, serve
from tests.site_thread import local_site

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


def cost(bundle: Bundle, route: str, ask: Ask) -> str:
    """A line of the table of requests: processor time of the API and of the runners (ms), and what a core can do."""
    pids = {name: pid for name, pid in processes(bundle).items() if name in (API, *MODELS[route])}
    turn(bundle, ask)  # warm
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    answered = turn(bundle, ask)
    spent = {name: 1000 * (cpu_s(pid) - before[name]) / answered for name, pid in pids.items()}
    models = sum(spent.values()) - spent[API]
    return f"| `{route}` | {spent[API]:.1f} | {models:.1f} | {1000 / (spent[API] + models):.0f} |"


def measure() -> str:
    """The tables of the page."""
    lines = ["| question | API, ms | runners, ms | requests/s of a core |", "| --- | ---: | ---: | ---: |"]
    store = Path(os.environ["BENTOML_HOME"])
    with local_site() as site, serve(store, {}) as bundle:
        lines += [cost(bundle, route, ask) for route, ask in questions(site).items()]
        lines += ["", "| process | memory after that, MiB (PSS) |", "| --- | ---: |"]
        lines += [f"| {name} | {pss_bytes(pid) / 2**20:.0f} |" for name, pid in processes(bundle).items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures, and writes the page."""
    block = BLOCK.format("sizing", measure())
    PAGE.write_text(re.sub(BLOCK.format("sizing", ".*?"), lambda _: block, PAGE.read_text(), flags=re.DOTALL))
    print(block)


if __name__ == "__main__":
    main()
