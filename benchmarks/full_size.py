"""Imports and serves one full-size checkpoint of each architecture: ``python -m benchmarks.full_size``.

Everything goes the way of a published checkpoint: ``models.fetch`` from a folder, then ``PROFILE=published``. It takes
a few minutes, 6 GiB of memory and 8 GiB of disk, which are given back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models.published import layout
from tests.ask_all import ask, samples
from tests.served import KEY, ROOT, Bundle, descendants, serve

FACES = ("--classes", "female,male", "--pixels", "imagenet-bgr")
CHECKPOINTS = ("face_gender", "audio_scene", "voice_gender")


def run(home: Path, *arguments: str) -> None:
    """Runs a module of this project on a model store."""
    variables = {**os.environ, "BENTOML_HOME": str(home), "TMPDIR": str(home.parent)}
    subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, env=variables, check=True)


def bring_in(name: str, folder: Path, home: Path) -> float:
    """Writes a checkpoint and imports it by the command; gives the seconds that the import took."""
    origin = layout.write(name, folder / name)
    started = time.monotonic()
    run(home, "models.fetch", name, "--from", str(origin), *(FACES if name == "face_gender" else ()))
    return time.monotonic() - started


def memory_gib(bundle: Bundle) -> float:
    """Memory of all its processes (PSS)."""
    kib = 0
    for pid in descendants(bundle.process.pid):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 2**20


def main() -> None:
    """Imports all, serves all, asks each once, and prints what it took."""
    with tempfile.TemporaryDirectory(prefix="full-", dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        home = folder / "bentoml"
        run(home, "models.save")
        for model in CHECKPOINTS:
            print(f"{model}: imported in {bring_in(model, folder, home):.0f} s", flush=True)
        started = time.monotonic()
        with serve(home, {"PROFILE": "published"}) as bundle:
            print(f"ready in {time.monotonic() - started:.0f} s", flush=True)
            with samples() as site, bundle.client(timeout=600) as client:
                ask(client, KEY, site)
            print(f"memory of all processes: {memory_gib(bundle):.1f} GiB")


if __name__ == "__main__":
    main()
