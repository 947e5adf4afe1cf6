"""What the playground costs: start and memory with it off, on, and used.

``python -m tests.support.playground_cost`` prints it.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

from tests.support import ask_all
from tests.support.served import KEY, ROOT, Bundle, descendants, serve

EXAMPLES = ROOT / "api" / "ui" / "examples"
MEBIBYTE_KB = 1024


def pss_mb(pid: int) -> float:
    """Memory of a process, what it shares divided among those who share it (MiB)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / MEBIBYTE_KB


def describe(bundle: Bundle, what: str) -> None:
    """Prints one line of memory."""
    api = bundle.workers("MediaClassifier")
    others = [pid for pid in descendants(bundle.process.pid) if pid not in api]
    total = sum(map(pss_mb, [bundle.process.pid, *api, *others]))
    print(f"{what}: API process {sum(map(pss_mb, api)):.0f} MiB, all processes {total:.0f} MiB")


def ask_examples(bundle: Bundle) -> None:
    """Asks about every example, as the page does."""
    with bundle.client() as client:
        for example in json.loads((EXAMPLES / "examples.json").read_text()):
            data = (EXAMPLES / example["file"]).read_bytes()
            client.post(f"/ui/ask/{example['question']}", content=data, headers={"x-api-key": KEY})


def main() -> None:
    """Measures."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["BENTOML_HOME"] = home
        from models import save  # BentoML looks for its home when it is imported

        save.main([])
        for setting in ("false", "true"):
            started = time.monotonic()
            with serve(Path(home), {"PLAYGROUND": setting}) as bundle:
                print(f"PLAYGROUND={setting}: ready after {time.monotonic() - started:.1f} s")
                describe(bundle, "after the start")
                ask_all.main(bundle.url, KEY)
                describe(bundle, "after the five reference routes")
                if setting == "true":
                    ask_examples(bundle)
                    describe(bundle, "after every example of the playground")


if __name__ == "__main__":
    main()
