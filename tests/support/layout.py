"""The figures of ``docs/decisions/layout.md``, as they are now: ``python -m tests.support.layout`` prints them."""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pathspec
import yaml

from tests.support.served import DATA, ROOT, Bundle, serve, wait_for

# Python runs a module of this name when it starts. In the fork server, and so in its copies, it notes every function
# of ours that is called, in every thread. The API's process, which is sent the signals, tells what it noted between.
TRACER = """
import json, os, signal, sys, threading

ROOT, OUT = {root!r}, {out!r}
sys.path.append(ROOT)
seen = set()


def note(frame, event, arg):
    if event == "call" and frame.f_code.co_filename.startswith(ROOT + "/"):
        seen.add((os.path.relpath(frame.f_code.co_filename, ROOT), frame.f_code.co_qualname))


def write(*_):
    with open(OUT + ".part", "w") as file:
        json.dump(sorted(seen.copy()), file)
    os.replace(OUT + ".part", OUT)


if "core.fork_server" in sys.orig_argv:
    signal.signal(signal.SIGUSR1, lambda *_: seen.clear())
    signal.signal(signal.SIGUSR2, write)
    threading.setprofile(note)
    sys.setprofile(note)
"""


def served_files() -> list[Path]:
    """Python files of the served code without ``__init__.py``."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["run"]["source_pkgs"]
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [ROOT / "service.py", *(path for path in found if path.name != "__init__.py")]


def bento_files() -> list[str]:
    """Files that a bento holds, beside its models."""
    config = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    include, exclude = (pathspec.GitIgnoreSpec.from_lines(config[name]) for name in ("include", "exclude"))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in tracked.split() if include.match_file(name) and not exclude.match_file(name)]


def import_s() -> float:
    """Processor time to import the entry point (seconds): the least of five processes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "import service"], cwd=ROOT, env=environment, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


def called_for_an_upload(bundle: Bundle, out: Path) -> list[tuple[str, str]]:
    """File and name of each function of ours that the API's process calls for a FLAC file, the second that it gets."""
    (pid,) = bundle.workers("MediaClassifier")
    with bundle.client() as client, (DATA / "voices" / "male_1.flac").open("rb") as file:
        for _ in range(2):
            os.kill(pid, signal.SIGUSR1)
            file.seek(0)
            client.post("/api/detect-gender", files={"audio": file}).raise_for_status()
    os.kill(pid, signal.SIGUSR2)
    wait_for(out.exists)
    ours = set(bento_files())  # an environment may lie in the same folder
    return [(file_, name) for file_, name in json.loads(out.read_text()) if file_ in ours]


def main() -> None:
    """Measures and prints."""
    lines = [len(path.read_text().splitlines()) for path in served_files()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BENTOML_HOME"] = str(folder / "bentoml")
        from models import save  # BentoML looks for its home when it is imported

        save.main([])
        out = folder / "called.json"
        (folder / "sitecustomize.py").write_text(TRACER.format(root=str(ROOT), out=str(out)))
        with serve(folder / "bentoml", {}, source=folder) as bundle:
            called = called_for_an_upload(bundle, out)
    files = sorted({file for file, _ in called})
    print(f"Python files without __init__.py: {len(lines)}")
    print(f"lines of a file, median: {statistics.median(lines):.0f}; most: {max(lines)}")
    held = bento_files()
    print(f"Python files in a bento: {sum(file.endswith('.py') for file in held)}")
    print(f"MB of a bento, without models: {sum((ROOT / file).stat().st_size for file in held) / 1e6:.2f}")
    print(f"processor time to import the entry point: {import_s():.2f} s")
    print(f"functions for a voice upload: {len(called)}, of {len(files)} files:", *files, sep="\n  ")


if __name__ == "__main__":
    main()
