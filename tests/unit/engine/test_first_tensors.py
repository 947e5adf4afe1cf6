"""The engine at the start and the end of a process, where OpenVINO alone would stand still, or abort it."""

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


EARLY = """
from core.settings import Settings
from engine.predictor import Predictor, example
options = {"voice_gender": {"threads": 1, "streams": 2}}
predictor = Predictor.bundled("voice_gender", Settings(runners=options))
predictor.warm_up()
predictor.answer([example(predictor.spec)])
"""


def test_a_process_may_end_while_the_engine_compiles() -> None:
    """The form for lone batches, which is made in the background when the first caller has come."""
    subprocess.run([sys.executable, "-c", EARLY], cwd=ROOT, check=True, timeout=120)
