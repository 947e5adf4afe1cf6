"""Runs the notebooks: ``python -m training.study.run [--write] [NAME ...]``.

Without ``--write`` each runs in its short form and nothing is kept: it fails where a cell does. With it they run in the
bundled form (or that of ``FORM``) and are written in place, without times, paths or what goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from training.data.datasets import datasets_dir

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
SHORT_S, LONG_S = 600.0, 3 * 3600.0  # limits of a cell: in the short form, and where it trains or measures all


def run(path: Path, *, write: bool) -> str:
    """Runs one notebook.

    Args:
        path: The file.
        write: Put the outputs into it.

    Returns:
        A line on how long it took.

    Raises:
        CellExecutionError: A cell failed.
        CellTimeoutError: A cell took too long.
    """
    notebook = nbformat.read(path, as_version=4)
    started = time.perf_counter()
    limit_s = SHORT_S if os.environ.get("FORM") == "short" else LONG_S
    NotebookClient(
        notebook, timeout=limit_s, record_timing=False, resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    if write:
        path.write_text(nbformat.writes(clean(notebook)) + "\n")
    return f"{path.name}: {time.perf_counter() - started:.1f} s"


def clean(notebook: Any) -> Any:
    """Leaves out what depends on the machine: standard error, versions, times."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the named notebooks, or all, two at a time."""
    parser = argparse.ArgumentParser(prog="python -m training.study.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all when none is given")
    parser.add_argument("--write", action="store_true", help="bundled form, outputs written in place")
    parser.add_argument("--at-once", type=int, default=2, help="notebooks at a time (%(default)s)")
    options = parser.parse_args(arguments)
    datasets_dir()  # said once, and not by each notebook
    os.environ.setdefault("FORM", "bundled" if options.write else "short")
    threads = max(1, (os.cpu_count() or 1) // options.at_once)  # more than there are cores wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    paths = [FOLDER / f"{name}.ipynb" for name in options.names] or sorted(FOLDER.glob("*.ipynb"))
    with ThreadPoolExecutor(options.at_once) as pool:
        for line in pool.map(lambda path: run(path, write=options.write), paths):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
