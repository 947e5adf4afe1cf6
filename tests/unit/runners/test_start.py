"""What every process of the server loads when it starts; each has a copy, and all of them start at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.served import ROOT

ONLY_WHERE_THEY_ARE_USED = (
    *("api.app", "api.ui", "fastapi", "av", "cv2", "PIL", "soundfile"),  # the API's process
    "openvino",  # the runners'
    "redis",  # the API's, if there is a REDIS_URL
    *("torch", "transformers", "keras", "tensorflow", "scipy", "opentelemetry.exporter"),
)


NATIVE = ("deepfake_cnn", "deepfake_mlp", "voice_gender")  # one of each kind in torch


def loaded(program: str, names: tuple[str, ...], folder: Path, *arguments: str, **settings: str) -> list[str]:
    """Which modules a process has loaded when its program is through."""
    program = f"import sys; {program}; print(*[name for name in {names!r} if name in sys.modules])"
    variables = {"PATH": "", "LOG_DIR": str(folder), "DATA_DIR": str(folder), "OMP_NUM_THREADS": "1", **settings}
    command = (sys.executable, "-W", "ignore", "-c", program, *arguments)
    made = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True, timeout=120)
    return made.stdout.split()


def test_a_process_loads_only_what_it_needs(tmp_path: Path) -> None:
    assert loaded("import service", ONLY_WHERE_THEY_ARE_USED, tmp_path) == []


def test_native_networks_load_neither_training_nor_the_compiled_engine(tmp_path: Path) -> None:
    answer = (
        "import numpy as np; from engine.predictor import Predictor; found = [Predictor.bundled(name) for name in "
        "sys.argv[1:]]; assert all(one.engine.description == 'native-cpu-f32' for one in found); "
        "assert all(one.answer([np.zeros(32_000, np.float32)]) for one in found)"
    )
    names = ("torch", "training", "openvino", "keras")
    assert loaded(answer, names, tmp_path, *NATIVE, ENGINE="native", DEVICE="cpu") == ["torch"]
