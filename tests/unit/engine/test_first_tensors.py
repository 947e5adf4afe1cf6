"""The first tensors of a process may be made by several threads at once: OpenVINO alone would stand still."""

from __future__ import annotations

import subprocess
import sys

from tests.support.served import ROOT

TRIES = 12  # without the mend, 5 of 25 such processes stood still
PROGRAM = """
import os, threading
import engine.compiled
import openvino
barrier = threading.Barrier(2)
def first():
    barrier.wait()
    openvino.Type.f32.to_dtype()
threads = [threading.Thread(target=first, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_two_threads_make_their_first_tensors_at_once() -> None:
    for _ in range(TRIES):
        subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, timeout=60)
