"""Freed memory goes back to the operating system, in a process of its own: its heap holds nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.served import ROOT

PROGRAM = """
import time
from pathlib import Path
from core.trimming import Trimmer

MIB = 1 << 20

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // MIB

trimmer = Trimmer(0.2)
before = held()
freed, kept = [], []
for _ in range(2000):  # what is kept lies above all that is freed, as one buffer of a later shape does
    freed.append(bytes(100_000))
    kept.append(bytes(1000))
del freed
full = held() - before
{note}
time.sleep({wait})
print(full, held() - before)
"""


def held(note: str, wait: float) -> tuple[int, int]:
    """MiB before and after the pause."""
    command = [sys.executable, "-c", PROGRAM.format(note=note, wait=wait)]
    ended = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True, timeout=120)
    full, left = map(int, ended.stdout.split())
    return full, left


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries give memory back in their own way")
def test_a_pause_after_work_gives_back_what_was_freed() -> None:
    full, left = held("trimmer.note_work()", 3)
    assert full > 100
    assert left < 30


@pytest.mark.skipif(sys.platform != "linux", reason="as above")
def test_without_work_nothing_is_done() -> None:
    full, left = held("", 1)
    assert full > 100
    assert left > 100
