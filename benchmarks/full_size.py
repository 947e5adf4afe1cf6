"""Imports and serves one full-size checkpoint of each architecture: ``python -m benchmarks.full_size``.

Everything goes the way of a published checkpoint: ``training.fetch`` from a folder, then ``PROFILE=published``; each
is asked once through its route. Weights are random numbers. It takes a few minutes, 6 GiB of memory and 8 GiB of disk,
which are given back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import eager
from benchmarks.processes import pss_bytes
from tests.support.ask_all import ask, samples
from tests.support.served import KEY, ROOT, Bundle, descendants, serve
from training.published import layout

FACES = ("--classes", "female,male", "--pixels", "imagenet-bgr")
TITLES = {"face_gender": "VGG16", "audio_scene": "AST", "voice_gender": "wav2vec2-large"}
IMPORT_S = 1200.0  # limit of one import
SETTINGS = {"PROFILE": "published", "REQUEST_TIMEOUT_S": "300"}

Say = Callable[[str], None]


def run(home: Path, *arguments: str) -> None:
    """Runs a module of this project on a model store."""
    variables = {**os.environ, "BENTOML_HOME": str(home), "TMPDIR": str(home.parent)}
    subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=variables, check=True, stdout=sys.stderr, timeout=IMPORT_S
    )


def bring_in(name: str, folder: Path, home: Path) -> float:
    """Writes a checkpoint and imports it by the command; gives the seconds that the import took."""
    origin = layout.write(name, folder / name)
    started = time.monotonic()
    run(home, "training.fetch", name, "--from", str(origin), *(FACES if name == "face_gender" else ()))
    return time.monotonic() - started


def imported(name: str, home: Path) -> Path:
    """The folder of the entry that an import has made."""
    entries = home / "models" / f"{name}-published"
    return entries / (entries / "latest").read_text()


def memory_bytes(bundle: Bundle) -> int:
    """Memory of all its processes (PSS)."""
    return sum(pss_bytes(pid) for pid in descendants(bundle.process.pid))


def served(home: Path, say: Say) -> dict[str, float]:
    """Serves what was imported and asks each model once: seconds to ready, seconds of the five answers, memory."""
    started = time.monotonic()
    with serve(home, SETTINGS) as bundle:
        ready = time.monotonic() - started
        with samples() as site, bundle.client(timeout=300) as client:
            started = time.monotonic()
            ask(client, KEY, site)
            answered = time.monotonic() - started
        memory = memory_bytes(bundle)
    say(f"  ready in {ready:.0f} s, five questions answered in {answered:.0f} s, {memory / 1e9:.1f} GB")
    return {"ready_s": ready, "answers_s": answered, "memory_bytes": memory}


def measure(say: Say) -> dict[str, Any]:
    """Imports all, serves all, asks each once, and compares the engine with torch on each."""
    found: dict[str, Any] = {"import_s": {}, "against_torch": {}}
    with tempfile.TemporaryDirectory(prefix="full-", dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        home = folder / "bentoml"
        run(home, "models.save")
        for model, title in TITLES.items():
            found["import_s"][title] = bring_in(model, folder, home)
            say(f"  {title}: imported in {found['import_s'][title]:.0f} s")
        found |= served(home, say)
        for model, title in TITLES.items():
            found["against_torch"][title] = pair = eager.measure(model, imported(model, home))
            say(f"  {title}: torch {pair['torch_s']:.3f} s, {pair['engine']} {pair['engine_s']:.3f} s")
    return found


if __name__ == "__main__":
    measure(lambda line: print(line, flush=True))
